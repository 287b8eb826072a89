import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMetrics } from './metrics.ts'
import { type OperationsServer, startOperationsServer } from './operations-server.ts'

const { metrics, registry } = createMetrics({ things_total: { kind: 'counter', help: 'Things.', labels: ['code'] } })
let reasons: string[] = []
let server: OperationsServer

beforeAll(async () => {
  server = await startOperationsServer({ host: '127.0.0.1', port: 0 }, { registry, notReady: () => reasons })
})
afterAll(() => server.close())

const get = async (path: string, method = 'GET') => {
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method })
  return { status: response.status, body: await response.text() }
}

test('is alive', async () => expect(await get('/livez')).toEqual({ status: 200, body: 'ok\n' }))

test('an address that is taken is said to be so', async () => {
  const address = { host: '127.0.0.1', port: server.port }
  await expect(startOperationsServer(address, { registry, notReady: () => [] })).rejects.toMatchObject({
    code: 'address_unavailable',
    message: `cannot listen on 127.0.0.1:${server.port}: EADDRINUSE`,
  })
})

test('is ready, or says why not', async () => {
  expect(await get('/readyz')).toMatchObject({ status: 200 })
  reasons = ['the ledger is locked', 'no authority']
  expect(await get('/readyz')).toEqual({ status: 503, body: 'the ledger is locked\nno authority\n' })
})

test('answers scrapes', async () => {
  metrics.things_total.inc({ code: 'ok' })
  expect((await get('/metrics')).body).toContain('things_total{code="ok"} 1')
})

test.for([
  ['/metrics', 'POST', 405],
  ['/nothing', 'GET', 404],
] as const)('%s by %s is %d', async ([path, method, status]) => {
  expect(await get(path, method)).toMatchObject({ status })
})

/** What one raw request line is answered, up to its end. */
function raw(line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(server.port, '127.0.0.1', () => socket.write(`${line}\r\nhost: x\r\n\r\n`))
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    socket.once('close', () => resolve(text)).once('error', reject)
  })
}

test.for(['GET // HTTP/1.1', 'GET http://[ HTTP/1.1', 'GET \\ HTTP/1.1', 'GET * HTTP/1.1', 'GET /%00 HTTP/1.1'])(
  '%s ends nothing but itself',
  async (line) => {
    expect(await raw(line)).toMatch(/^HTTP\/1\.1 4\d\d/)
    expect(await get('/livez')).toMatchObject({ status: 200 })
  },
)

test('idle connections do not keep a probe out', async () => {
  const idle = await Promise.all(
    Array.from(
      { length: 80 },
      () =>
        new Promise<Socket>((resolve) => {
          const socket = connect(server.port, '127.0.0.1', () => resolve(socket))
          socket.on('error', () => {})
        }),
    ),
  )
  expect(await get('/livez')).toMatchObject({ status: 200 })
  for (const socket of idle) socket.destroy()
})
