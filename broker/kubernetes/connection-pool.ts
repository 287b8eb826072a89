import { Agent } from 'node:https'
import type { Credentials } from './credentials.ts'

/** How many connections, and whether they are kept for the next request. */
export interface PoolBounds {
  readonly maxConnections: number
  readonly keepAlive: boolean
}

/** Connections to one server; new ones once the client certificate or the CA has changed, while the old ones run dry. */
export class ConnectionPool {
  readonly #bounds: PoolBounds
  #pool: { readonly agent: Agent; readonly key: string; readonly credentials: Credentials } | undefined

  constructor(bounds: PoolBounds) {
    this.#bounds = bounds
  }

  agentFor(credentials: Credentials): Agent {
    const { tls } = credentials
    if (this.#pool?.credentials === credentials) return this.#pool.agent
    const key = [tls.ca, tls.cert, tls.key, tls.servername].map(String).join('\n')
    if (this.#pool?.key === key) {
      this.#pool = { ...this.#pool, credentials }
      return this.#pool.agent
    }
    const { maxConnections, keepAlive } = this.#bounds
    const agent = new Agent({
      ...tls,
      keepAlive,
      maxSockets: maxConnections,
      maxFreeSockets: maxConnections,
      ...(keepAlive && { timeout: 60_000 }),
      minVersion: 'TLSv1.2',
      maxCachedSessions: 0,
      rejectUnauthorized: true,
    })
    this.#pool = { agent, key, credentials }
    return agent
  }

  close(): void {
    this.#pool?.agent.destroy()
  }
}
