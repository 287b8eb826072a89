import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'

/** What is asked by those who run the program. */
export interface Operations {
  readonly registry: Registry
  /** Why the program cannot serve now; empty when it can. */
  notReady(): readonly string[]
}

/** A running endpoint. */
export interface OperationsServer {
  readonly port: number
  close(): Promise<void>
}

/**
 * Plain HTTP for probes and scrapers, an edge file: `/livez` (the process turns), `/readyz` (200, or 503 with the
 * reasons) and `/metrics`. It depends on nothing that the program is busy with.
 *
 * @param address host and port; port 0 takes a free one.
 */
export async function startOperationsServer(
  address: { readonly host: string; readonly port: number },
  { registry, notReady }: Operations,
): Promise<OperationsServer> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    const reply = (code: number, body: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(code, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(body)
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    if (request.method !== 'GET') reply(405, 'only GET\n')
    else if (pathname === '/livez') reply(200, 'ok\n')
    else if (pathname === '/readyz') {
      const reasons = notReady()
      reply(reasons.length === 0 ? 200 : 503, reasons.length === 0 ? 'ok\n' : `${reasons.join('\n')}\n`)
    } else if (pathname === '/metrics') {
      registry.metrics().then(
        (text) => reply(200, text, registry.contentType),
        () => reply(500, 'internal error\n'),
      )
    } else reply(404, 'try /livez, /readyz or /metrics\n')
  })
  server.maxConnections = 64
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.port, address.host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
