import { type BackoffBounds, backoffMs } from '../../core/runtime/backoff.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import type { ApiConnection } from './api-connection.ts'
import { MAX_OBJECT_BYTES } from './http-exchange.ts'
import { type KeepingBounds, KeptItems } from './kept-items.ts'
import { listPaged } from './paged-list.ts'
import { type ApiObject, keyOf, readWatchEvent } from './watch-events.ts'

/** What is watched, and what is kept of it; a collection of which there is more is not followed, and says so. */
export interface WatchedListOptions<T> extends KeepingBounds<T> {
  /** The collection: `/api/v1/pods`. */
  readonly path: string
  readonly pageSize: number
  /** What is kept of an object; `undefined`: nothing. Must not throw. */
  readonly transform: (object: ApiObject) => T | undefined
  /** Told after each change, and once all has been read for the first time. Must not throw. */
  readonly onChange: () => void
  /** Told why the list is not up to date, and `undefined` once it is again. */
  readonly onTrouble: (trouble: IdentityError | undefined) => void
  readonly retry?: BackoffBounds
}

export interface WatchedListDependencies {
  readonly api: ApiConnection
  readonly clock: Clock
  readonly random: Random
}

const RETRY = { firstMs: 500, maxMs: 30_000 }
/** The server ends a watch after so long, at another moment for each of us. */
const WATCH_SECONDS = { least: 300, most: 600 }
/** Bookmarks come about once a minute, even if nothing changes: after two that did not come the connection is dead. */
const BOUNDS = { idleMs: 150_000, maxLineBytes: MAX_OBJECT_BYTES }
/** A watch that lives shorter and brings nothing has failed, however it ended. */
const WORTHWHILE_MS = 5_000

/**
 * A collection of the API server, held in memory and followed. Whatever happens (a lost or stalled connection, a version
 * that the server has forgotten, a server that restarts, nonsense on the wire, a missing RBAC rule) it keeps what it
 * knows, says why it is not up to date, and goes on trying until it is stopped; it never ends quietly.
 */
export class WatchedList<T> {
  readonly #dependencies: WatchedListDependencies
  readonly #options: WatchedListOptions<T>
  #kept: KeptItems<T>
  #hasSynced = false
  /** Where the next watch begins; `undefined`: with a list. */
  #version: string | undefined
  #failures = 0

  constructor(dependencies: WatchedListDependencies, options: WatchedListOptions<T>) {
    this.#dependencies = dependencies
    this.#options = options
    this.#kept = new KeptItems(options)
  }

  /** Whether all has been read once. */
  get hasSynced(): boolean {
    return this.#hasSynced
  }

  /** What is kept, by `namespace/name` or name. */
  get items(): ReadonlyMap<string, T> {
    return this.#kept.items
  }

  /** Follows the collection until `signal` is aborted. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#dependencies
    const { retry = RETRY } = this.#options
    while (!signal.aborted) {
      const failure = await this.#round(signal).then(
        () => undefined,
        (error: unknown) => troubleOf(error),
      )
      if (signal.aborted) return
      if (!failure) continue
      this.#failures += 1
      if (failure.code === 'internal' || failure.code === 'overloaded') this.#version = undefined
      this.#options.onTrouble(failure)
      await clock.sleep(backoffMs(this.#failures, retry, random, failure.retryAfterMs), signal).catch(() => {})
    }
  }

  /** A list, where one is needed, and a watch. Returns where the watch has ended as watches do. */
  async #round(signal: AbortSignal): Promise<void> {
    this.#version ??= await this.#list(signal)
    const { api, clock } = this.#dependencies
    const beganAtMs = clock.monotonicMs()
    // What is read is no longer wanted once the round is over, however that comes.
    const round = new AbortController()
    const stop = () => round.abort(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    try {
      const path = this.#watchPath(this.#version)
      const stream = await api.stream({ method: 'GET', path, background: true }, BOUNDS, round.signal)
      if (!stream.lines) throw this.#refused(stream.status)
      const events = await this.#follow(stream.lines)
      if (events === 0 && clock.monotonicMs() - beganAtMs < WORTHWHILE_MS) throw unavailable('ends a watch at once')
    } finally {
      signal.removeEventListener('abort', stop)
      round.abort()
    }
  }

  async #list(signal: AbortSignal): Promise<string> {
    const { path, pageSize, transform } = this.#options
    const kept = new KeptItems(this.#options)
    const take = (object: ApiObject) => {
      const item = transform(object)
      if (item !== undefined) kept.put(keyOf(object), item)
    }
    const { version } = await listPaged(this.#dependencies.api, { path, pageSize, take }, signal)
    this.#kept = kept
    this.#hasSynced = true
    this.#options.onChange()
    return version
  }

  /** @returns how many events came. */
  async #follow(lines: AsyncIterable<string>): Promise<number> {
    let events = 0
    // The server has answered: only now is all well.
    this.#options.onTrouble(undefined)
    for await (const line of lines) {
      this.#apply(line)
      events += 1
      this.#failures = 0
    }
    return events
  }

  #apply(line: string): void {
    const event = readWatchEvent(line)
    switch (event.type) {
      case 'bookmark':
        this.#version = event.version
        return
      case 'put':
      case 'removed': {
        const changed = event.type === 'put' ? this.#put(event.object) : this.#kept.delete(keyOf(event.object))
        this.#version = event.version
        if (changed) this.#options.onChange()
        return
      }
      case 'error':
        throw this.#refused(event.code)
      case 'garbage':
        this.#version = undefined
        throw unavailable('sends something that is no event of a watch')
    }
  }

  #put(object: ApiObject): boolean {
    const key = keyOf(object)
    const item = this.#options.transform(object)
    if (item === undefined) return this.#kept.delete(key)
    this.#kept.put(key, item)
    return true
  }

  /** Whatever the server does not go on from is listed anew. */
  #refused(status: number): IdentityError {
    this.#version = undefined
    return unavailable(
      status === 410 ? 'has forgotten the version that the watch was at' : `ends a watch with ${status}`,
    )
  }

  #watchPath(version: string): string {
    const { path } = this.#options
    const { least, most } = WATCH_SECONDS
    const seconds = Math.floor(least + this.#dependencies.random.fraction() * (most - least))
    const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=${seconds}&resourceVersion=${encodeURIComponent(version)}`
    return `${path}${path.includes('?') ? '&' : '?'}${query}`
  }
}

/** A bug in what keeps the objects must not end the loop: it is told of like any other trouble. */
function troubleOf(error: unknown): IdentityError {
  if (error instanceof IdentityError) return error
  return new IdentityError('internal', 'what the API server sent could not be worked with', { cause: error })
}

function unavailable(why: string): IdentityError {
  return new IdentityError('kubernetes_unavailable', `the API server ${why}`)
}
