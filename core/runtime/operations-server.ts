import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Registry } from 'prom-client'
import { cannotListen } from './listening.ts'

/** Not by `import`: that would read every export of node:http, WebSocket among them, which is 15 MiB of undici. */
const { createServer } = process.getBuiltinModule('node:http')

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

/** Connections in all, and those of one address: who opens many must not keep a probe out. */
const MAX_CONNECTIONS = 64
const MAX_PER_ADDRESS = 16
/** Probes and scrapes are answered at once; what takes longer is not one. */
const REQUEST_MS = 3_000

/**
 * Plain HTTP for probes and scrapers, an edge file: `/livez` (the process turns), `/readyz` (200, or 503 with the
 * reasons) and `/metrics`. It depends on nothing that the program is busy with. A connection is good for one request; at
 * the bound the oldest gives way, so that idle ones never starve a probe.
 *
 * @param address host and port; port 0 takes a free one.
 */
export async function startOperationsServer(
  address: { readonly host: string; readonly port: number },
  operations: Operations,
): Promise<OperationsServer> {
  const limits = { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, connectionsCheckingInterval: 1_000 }
  const server = createServer({ ...limits, keepAlive: false, maxHeaderSize: 8 * 1024 }, (request, response) => {
    answer(request, response, operations).catch(() => response.destroy())
  })
  const open = new Set<Socket>()
  server.on('connection', (socket) => {
    makeRoom(open, socket.remoteAddress)
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(address, error)))
    server.listen(address.port, address.host, resolve)
  })
  // What fails later (no descriptors left, for example) passes; without a listener it would end the process.
  server.on('error', () => {})
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Closes the oldest connections (a Set keeps its order) until one more is within the bounds. */
function makeRoom(open: Set<Socket>, address: string | undefined): void {
  const [oldestOfAll] = open.size >= MAX_CONNECTIONS ? open : []
  oldestOfAll?.destroy()
  const ofAddress = Array.from(open).filter(({ remoteAddress, destroyed }) => !destroyed && remoteAddress === address)
  if (ofAddress.length >= MAX_PER_ADDRESS) ofAddress[0]?.destroy()
}

async function answer(
  { method, url = '/' }: IncomingMessage,
  response: ServerResponse,
  { registry, notReady }: Operations,
): Promise<void> {
  const reply = (code: number, body: string, type = 'text/plain; charset=utf-8') =>
    response
      .writeHead(code, { 'content-type': type, 'x-content-type-options': 'nosniff', connection: 'close' })
      .end(body)
  if (method !== 'GET') return void reply(405, 'only GET\n')
  // Whatever a stranger sends as a target is compared, never parsed.
  switch (url.split('?', 1)[0]) {
    case '/livez':
      return void reply(200, 'ok\n')
    case '/readyz': {
      const reasons = notReady()
      return void reply(reasons.length === 0 ? 200 : 503, reasons.length === 0 ? 'ok\n' : `${reasons.join('\n')}\n`)
    }
    case '/metrics':
      return void reply(200, await registry.metrics(), registry.contentType)
    default:
      return void reply(404, 'try /livez, /readyz or /metrics\n')
  }
}
