import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { orAborted } from '../attestation/deadline.ts'
import { Deadlines } from '../attestation/deadlines.ts'
import type { Problems } from '../problems.ts'
import { answerLines, type StreamBounds } from './answer-lines.ts'
import type { ApiRequest } from './api-request.ts'
import { ConnectionPool } from './connection-pool.ts'
import type { ApiServer, Credentials } from './credentials.ts'
import {
  AnswerTooLarge,
  type Attempt,
  type Destination,
  exchange,
  openExchange,
  readExchanged,
} from './http-exchange.ts'
import { MissingRules } from './missing-rules.ts'
import { retryAfterMs } from './retry-after.ts'

/** An answer that is neither an error of the server's nor of our credentials. */
export interface ApiResponse {
  readonly status: number
  readonly body: string
}

/** A watch that the server has begun to answer, or its answer of another status than 200. */
export type ApiStream =
  { readonly status: 200; readonly lines: AsyncGenerator<string> } | (ApiResponse & { readonly lines?: never })

/** A mounted token is read again at least so often; kubelet replaces it with 20 % of its life left. */
const CREDENTIALS_TTL_MS = 60_000
/** No server may keep us away for longer, whatever it answers. */
const MAX_PAUSE_MS = 60_000
const DEFAULT_RETRY_MS = 1_000
/** The longest that one request may take. */
const REQUEST_TIMEOUT_MS = 5_000
const BACKGROUND_TIMEOUT_MS = 30_000
/** Watches at a time, each on a connection of its own: they would keep reviews waiting in the pool. */
const MAX_STREAMS = 32

export interface ApiConnectionOptions {
  readonly clock: Clock
  readonly maxConnections: number
  /** Told of each rule that RBAC lacks. */
  readonly problems?: Problems | undefined
}

/**
 * HTTPS to the API server over one pool of kept connections. A handshake for each review would cost more than all else
 * of an issuance, which is what the Kubernetes client does.
 */
export class ApiConnection {
  readonly #server: ApiServer
  readonly #clock: Clock
  readonly #pool: ConnectionPool
  readonly #streams: ConnectionPool
  readonly #deadlines: Deadlines
  readonly #backgroundDeadlines: Deadlines
  readonly #rules: MissingRules
  #held: { readonly credentials: Credentials; readonly readAtMs: number } | undefined
  #reading: Promise<Credentials> | undefined
  #pausedUntilMs = 0

  constructor(server: ApiServer, { clock, maxConnections, problems }: ApiConnectionOptions) {
    this.#server = server
    this.#clock = clock
    this.#pool = new ConnectionPool({ maxConnections, keepAlive: true })
    this.#streams = new ConnectionPool({ maxConnections: MAX_STREAMS, keepAlive: false })
    this.#deadlines = new Deadlines(clock, REQUEST_TIMEOUT_MS)
    this.#backgroundDeadlines = new Deadlines(clock, BACKGROUND_TIMEOUT_MS)
    this.#rules = new MissingRules(problems)
  }

  /**
   * @throws {@link IdentityError} `kubernetes_forbidden` if a rule is missing, which it names; `kubernetes_unavailable` if
   *   the server is not reached, says that it is too busy, fails, or does not know us; the reason of `signal`.
   */
  async send(asked: ApiRequest, signal: AbortSignal): Promise<ApiResponse> {
    const { message, body } = await this.#ask(asked, signal, (destination, attempt) =>
      exchange(asked, destination, signal, attempt),
    )
    this.#check(asked, message, body)
    return { status: message.status, body }
  }

  /**
   * A GET whose answer comes line by line until the server or `signal` ends it: a watch. The lines throw
   * `kubernetes_unavailable` where the connection is lost or breaks `bounds`.
   *
   * @throws As {@link send}.
   */
  async stream(asked: Omit<ApiRequest, 'body'>, bounds: StreamBounds, signal: AbortSignal): Promise<ApiStream> {
    const answer = await this.#ask(
      asked,
      signal,
      async (destination, attempt) => {
        const response = await openExchange(asked, destination, signal, attempt)
        return response.statusCode === 200 ? response : readExchanged(response)
      },
      this.#streams,
    )
    if ('message' in answer) {
      this.#check(asked, answer.message, answer.body)
      return { status: answer.message.status, body: answer.body }
    }
    this.#rules.allowed(asked.method, asked.path)
    return { status: 200, lines: this.#lines(answer, bounds, signal) }
  }

  close(): void {
    this.#pool.close()
    this.#streams.close()
  }

  async #ask<T>(asked: ApiRequest, signal: AbortSignal, work: Work<T>, pool = this.#pool): Promise<T> {
    signal.throwIfAborted()
    const pausedMs = this.#pausedUntilMs - this.#clock.monotonicMs()
    if (pausedMs > 0) throw unavailable('asks us to wait', { afterMs: pausedMs })
    return this.#attempt({ asked, work, pool }, signal, 'retry')
  }

  /** Statuses that say nothing of what was asked. */
  #check({ method, path, background = false }: ApiRequest, message: StatusLine, body: string): void {
    const { status } = message
    if (status === 401) this.#held = undefined
    if (status === 429 || status >= 500) {
      const afterMs = retryAfterMs(message.retryAfter, this.#clock.now())
      if (afterMs !== undefined && !background) {
        this.#pausedUntilMs = this.#clock.monotonicMs() + Math.min(afterMs, MAX_PAUSE_MS)
      }
      throw unavailable(`answers ${status}`, { afterMs: Math.min(afterMs ?? DEFAULT_RETRY_MS, MAX_PAUSE_MS) })
    }
    if (status === 401) throw unavailable('does not know the broker (401)')
    if (status === 403) throw this.#rules.forbidden(method, path, body)
    this.#rules.allowed(method, path)
  }

  /** A kept connection may have been closed just as it was used; then, and only then, once more. */
  async #attempt<T>(request: Pending<T>, signal: AbortSignal, again: 'retry' | 'last'): Promise<T> {
    const { asked, work, pool } = request
    const credentials = await orAborted(this.#credentials(), signal)
    const attempt: Attempt = { reused: false, giveUp: () => {} }
    let late = false
    const callOff = (asked.background ? this.#backgroundDeadlines : this.#deadlines).start(() => {
      late = true
      attempt.giveUp()
    })
    try {
      return await work({ url: this.#server.url, agent: pool.agentFor(credentials), credentials }, attempt)
    } catch (error) {
      signal.throwIfAborted()
      if (again === 'retry' && !late && attempt.reused && isReset(error)) return this.#attempt(request, signal, 'last')
      if (error instanceof AnswerTooLarge) throw unavailable(TOO_LARGE, { cause: error })
      throw unavailable(late ? 'does not answer in time' : 'is not reached', { cause: error })
    } finally {
      callOff()
    }
  }

  async *#lines(response: IncomingMessage, bounds: StreamBounds, signal: AbortSignal): AsyncGenerator<string> {
    try {
      yield* answerLines(response, bounds, this.#clock)
    } catch (error) {
      signal.throwIfAborted()
      throw unavailable(`has broken off a watch: ${(error as Error).message}`, { cause: error })
    }
  }

  /** Read again once they are old, once for all who wait: an exec plugin is a process each time. */
  async #credentials(): Promise<Credentials> {
    const now = this.#clock.monotonicMs()
    if (this.#held && now - this.#held.readAtMs < CREDENTIALS_TTL_MS) return this.#held.credentials
    this.#reading ??= this.#server.credentials().finally(() => {
      this.#reading = undefined
    })
    try {
      const credentials = await this.#reading
      this.#held = { credentials, readAtMs: now }
      return credentials
    } catch (error) {
      throw unavailable('cannot be asked: the credentials cannot be read', { cause: error })
    }
  }
}

type Work<T> = (destination: Destination, attempt: Attempt) => Promise<T>

interface Pending<T> {
  readonly asked: ApiRequest
  readonly work: Work<T>
  readonly pool: ConnectionPool
}

interface StatusLine {
  readonly status: number
  readonly retryAfter: string | undefined
}

const TOO_LARGE = 'answers more than is read'

/** Whether the answer was larger than we hold: a list asks for smaller pages then. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof IdentityError && error.cause instanceof AnswerTooLarge
}

function isReset(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ECONNRESET' || code === 'EPIPE'
}

function unavailable(why: string, { afterMs = DEFAULT_RETRY_MS, cause }: { afterMs?: number; cause?: unknown } = {}) {
  return new IdentityError('kubernetes_unavailable', `the API server ${why}`, { retryAfterMs: afterMs, cause })
}
