import type { ServerResponse } from 'node:http'
import { goJson } from './go-json.ts'

/** An object as it was written, with what the server adds. */
export interface CollectionObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion: string
    readonly generation: number
    readonly labels?: Record<string, string>
  }
  readonly [field: string]: unknown
}

interface Written {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

interface Event {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: CollectionObject
  readonly version: number
}

/**
 * One collection of an API server that can be listed in pages and watched: versions, bookmarks at a test's word, and a
 * past that is forgotten at another. `test/watched-list.platform.test.ts` holds it to the truth.
 */
export class FakeCollection {
  readonly objects = new Map<string, CollectionObject>()
  readonly #events: Event[] = []
  readonly #watches = new Set<ServerResponse>()
  #version = 1
  /** What happened up to here is forgotten: who asks for it is told 410. */
  #forgotten = 0
  /** Lists and watches asked for so far. */
  lists = 0
  watches = 0
  /** Bodies of PATCHes, newest last. */
  readonly patches: { readonly path: string; readonly body: unknown }[] = []

  get openWatches(): number {
    return this.#watches.size
  }

  put(written: Written): CollectionObject {
    const key = keyOf(written)
    const before = this.objects.get(key)
    const specChanged = JSON.stringify(before?.['spec']) !== JSON.stringify(written['spec'])
    const generation = (before?.metadata.generation ?? 0) + (specChanged || !before ? 1 : 0)
    const metadata = { uid: `uid-${key}`, ...written.metadata, resourceVersion: this.#next(), generation }
    const object: CollectionObject = { ...written, metadata }
    this.objects.set(key, object)
    this.#tell({ type: before ? 'MODIFIED' : 'ADDED', object, version: this.#version })
    return object
  }

  delete(name: string, namespace?: string): void {
    const key = keyOf({ metadata: { name, ...(namespace !== undefined && { namespace }) } })
    const before = this.objects.get(key)
    if (!before) return
    this.objects.delete(key)
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: this.#next() } }
    this.#tell({ type: 'DELETED', object, version: this.#version })
  }

  /** Sends every watch a line of the test's making, or cuts it off within one. */
  sendRaw(text: string): void {
    for (const watch of this.#watches) watch.write(text)
  }

  bookmark(): void {
    this.sendRaw(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: this.#next() } } })}\n`)
  }

  /** Ends all watches, as the server does after their time, or breaks them off. */
  endWatches(how: 'end' | 'cut' = 'end'): void {
    for (const watch of this.#watches) {
      if (how === 'end') watch.end()
      else watch.destroy()
    }
    this.#watches.clear()
  }

  /** The connections of all watches stay open, and nothing comes on them any more. @returns what closes them. */
  stallWatches(): () => void {
    const stalled = [...this.#watches]
    this.#watches.clear()
    return () => stalled.forEach((watch) => watch.destroy())
  }

  /** As etcd's compaction does. */
  forget(): void {
    this.#events.splice(0)
    this.#next()
    this.#forgotten = this.#version
  }

  answer({ method, rest, text }: { method: string; rest: string; text: string }, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(`https://fake${rest.startsWith('?') ? `/${rest}` : rest || '/'}`)
    const [, name = '', subresource] = pathname.split('/')
    if (method === 'GET' && name === '' && searchParams.get('watch') === 'true') {
      return this.#watch(Number(searchParams.get('resourceVersion')), response)
    }
    if (method === 'GET' && name === '') return this.#list(searchParams, response)
    const body = JSON.parse(text === '' ? '{}' : text) as Written
    if (method === 'POST') return reply(response, 201, this.put(body))
    const key = [...this.objects.keys()].find((one) => one === name || one.endsWith(`/${name}`))
    const there = key === undefined ? undefined : this.objects.get(key)
    if (!there) return reply(response, 404, { kind: 'Status', code: 404, message: `${name} not found` })
    if (method === 'DELETE') {
      this.delete(name, there.metadata.namespace)
      return reply(response, 200, { kind: 'Status', status: 'Success' })
    }
    if (method === 'PATCH') this.patches.push({ path: pathname, body })
    if (method === 'PATCH') return reply(response, 200, this.put(merged(there, body, subresource)))
    if (method === 'PUT') return reply(response, 200, this.put(body))
    reply(response, 200, there)
  }

  #list(asked: URLSearchParams, response: ServerResponse): void {
    this.lists += 1
    const limit = Number(asked.get('limit') ?? Number.MAX_SAFE_INTEGER)
    const [from, version] = (asked.get('continue') ?? `0:${this.#version}`).split(':').map(Number)
    if ((version ?? 0) < this.#forgotten) return reply(response, 410, { kind: 'Status', code: 410 })
    const start = from ?? 0
    const all = [...this.objects.values()]
    const more = start + limit < all.length
    reply(response, 200, {
      kind: 'List',
      metadata: { resourceVersion: String(version), ...(more && { continue: `${start + limit}:${version}` }) },
      items: all.slice(start, start + limit),
    })
  }

  #watch(since: number, response: ServerResponse): void {
    this.watches += 1
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    if (since < this.#forgotten) {
      const object = { kind: 'Status', code: 410, reason: 'Expired' }
      return void response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`)
    }
    for (const { type, object, version } of this.#events) {
      if (version > since) response.write(`${goJson({ type, object })}\n`)
    }
    this.#watches.add(response)
    response.on('close', () => this.#watches.delete(response))
  }

  #tell(event: Event): void {
    this.#events.push(event)
    this.sendRaw(`${goJson({ type: event.type, object: event.object })}\n`)
  }

  #next(): string {
    this.#version += 1
    return String(this.#version)
  }
}

/** JSON Merge Patch (RFC 7396) of one level below the subresource, which is all that is patched. */
function merged(there: CollectionObject, patch: Written, subresource: string | undefined): Written {
  if (subresource === undefined) return { ...there, ...patch, metadata: there.metadata }
  const fields = Object.entries({ ...(there[subresource] as object), ...(patch[subresource] as object) })
  return { ...there, [subresource]: Object.fromEntries(fields.filter(([, value]) => value !== null)) }
}

function keyOf({ metadata: { namespace, name } }: Written): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(goJson(body))
}
