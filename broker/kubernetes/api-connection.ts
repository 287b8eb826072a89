import { Buffer } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { orAborted } from '../attestation/deadline.ts'
import { Deadlines } from '../attestation/deadlines.ts'
import type { ApiServer, Credentials } from './credentials.ts'
import { retryAfterMs } from './retry-after.ts'

/** What is asked of the API server. */
export interface ApiRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: string
  readonly accept?: string
}

/** An answer that is neither an error of the server's nor of our credentials. */
export interface ApiResponse {
  readonly status: number
  readonly body: string
}

/** Larger than any object in etcd. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024
/** A mounted token is read again at least so often; kubelet replaces it with 20 % of its life left. */
const CREDENTIALS_TTL_MS = 60_000
/** No server may keep us away for longer, whatever it answers. */
const MAX_PAUSE_MS = 60_000
const DEFAULT_RETRY_MS = 1_000
/** The longest that one request may take. */
const REQUEST_TIMEOUT_MS = 5_000

/**
 * HTTPS to the API server over one pool of kept connections. A handshake for each review would cost more than all else
 * of an issuance, which is what the Kubernetes client does.
 */
export class ApiConnection {
  readonly #server: ApiServer
  readonly #clock: Clock
  readonly #maxConnections: number
  readonly #deadlines: Deadlines
  #held: { readonly credentials: Credentials; readonly readAtMs: number } | undefined
  #reading: Promise<Credentials> | undefined
  #pool: { readonly agent: Agent; readonly key: string; readonly credentials: Credentials } | undefined
  #pausedUntilMs = 0

  constructor(
    server: ApiServer,
    { clock, maxConnections }: { readonly clock: Clock; readonly maxConnections: number },
  ) {
    this.#server = server
    this.#clock = clock
    this.#maxConnections = maxConnections
    this.#deadlines = new Deadlines(clock, REQUEST_TIMEOUT_MS)
  }

  /**
   * @throws {@link IdentityError} `kubernetes_unavailable` if the server is not reached, says that it is too busy, fails,
   *   or does not let us ask; the reason of `signal`.
   */
  async send(asked: ApiRequest, signal: AbortSignal): Promise<ApiResponse> {
    signal.throwIfAborted()
    const pausedMs = this.#pausedUntilMs - this.#clock.monotonicMs()
    if (pausedMs > 0) throw unavailable('asks us to wait', { afterMs: pausedMs })
    const response = await this.#attempt(asked, signal, 'retry')
    const { status } = response.message
    if (status === 401) this.#held = undefined
    if (status === 429 || status >= 500) {
      const afterMs = retryAfterMs(response.message.retryAfter, this.#clock.now())
      if (afterMs !== undefined) this.#pausedUntilMs = this.#clock.monotonicMs() + Math.min(afterMs, MAX_PAUSE_MS)
      throw unavailable(`answers ${status}`, { afterMs: Math.min(afterMs ?? DEFAULT_RETRY_MS, MAX_PAUSE_MS) })
    }
    if (status === 401 || status === 403) throw unavailable(`does not allow the broker to ask (${status})`)
    return { status, body: response.body }
  }

  close(): void {
    this.#pool?.agent.destroy()
  }

  /** A kept connection may have been closed just as it was used; then, and only then, once more. */
  async #attempt(asked: ApiRequest, signal: AbortSignal, again: 'retry' | 'last'): Promise<Exchanged> {
    const credentials = await orAborted(this.#credentials(), signal)
    const attempt: Attempt = { reused: false, giveUp: () => {} }
    let late = false
    const callOff = this.#deadlines.start(() => {
      late = true
      attempt.giveUp()
    })
    try {
      return await exchange(
        { asked, credentials, url: this.#server.url, agent: this.#agent(credentials) },
        signal,
        attempt,
      )
    } catch (error) {
      signal.throwIfAborted()
      if (again === 'retry' && !late && attempt.reused && isReset(error)) return this.#attempt(asked, signal, 'last')
      throw unavailable(late ? 'does not answer in time' : 'is not reached', { cause: error })
    } finally {
      callOff()
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

  /** The pool; a new one once the client certificate or the CA has changed, while the old one runs dry. */
  #agent(credentials: Credentials): Agent {
    const { tls } = credentials
    if (this.#pool?.credentials === credentials) return this.#pool.agent
    const key = [tls.ca, tls.cert, tls.key, tls.servername].map(String).join('\n')
    if (this.#pool?.key === key) {
      this.#pool = { ...this.#pool, credentials }
      return this.#pool.agent
    }
    const agent = new Agent({
      ...tls,
      keepAlive: true,
      maxSockets: this.#maxConnections,
      maxFreeSockets: this.#maxConnections,
      timeout: 60_000,
      minVersion: 'TLSv1.2',
      maxCachedSessions: 0,
      rejectUnauthorized: true,
    })
    this.#pool = { agent, key, credentials }
    return agent
  }
}

/** What is known of a request while it runs. */
interface Attempt {
  reused: boolean
  giveUp: () => void
}

interface Exchanged {
  readonly message: { readonly status: number; readonly retryAfter: string | undefined }
  readonly body: string
}

function exchange(
  to: { readonly asked: ApiRequest; readonly credentials: Credentials; readonly url: URL; readonly agent: Agent },
  signal: AbortSignal,
  attempt: Attempt,
): Promise<Exchanged> {
  const { asked, credentials, url, agent } = to
  const { body, accept = 'application/json' } = asked
  return new Promise((resolve, reject) => {
    const headers = {
      ...credentials.headers,
      accept,
      'user-agent': 'countersign-broker',
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    }
    // A server behind a path, as Rancher's are, keeps it.
    const path = url.pathname.replace(/\/$/, '') + asked.path
    const options = { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || 443, method: asked.method, path }
    const sent = request({ ...options, headers, agent, signal }, (response) => {
      readBody(response).then((text) => {
        const retryAfter = response.headers['retry-after']
        resolve({ message: { status: response.statusCode ?? 0, retryAfter }, body: text })
      }, reject)
    })
    attempt.giveUp = () => void sent.destroy(new Error('no answer in time'))
    sent.on('error', (error) => {
      attempt.reused = sent.reusedSocket
      reject(error)
    })
    sent.end(body)
  })
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_RESPONSE_BYTES) throw new Error(`the answer is larger than ${MAX_RESPONSE_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function isReset(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ECONNRESET' || code === 'EPIPE'
}

function unavailable(why: string, { afterMs = DEFAULT_RETRY_MS, cause }: { afterMs?: number; cause?: unknown } = {}) {
  return new IdentityError('kubernetes_unavailable', `the API server ${why}`, { retryAfterMs: afterMs, cause })
}
