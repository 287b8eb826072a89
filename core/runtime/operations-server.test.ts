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
