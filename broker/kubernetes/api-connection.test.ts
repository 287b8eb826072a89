import type { ServerResponse } from 'node:http'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Clock } from '../../core/runtime/clock.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { tokenFacts } from '../../test/fakes/attested.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { FakeKubernetes } from '../../test/fakes/fake-kubernetes.ts'
import { Problems } from '../problems.ts'
import { ApiConnection } from './api-connection.ts'
import { type ApiRequest, MERGE_PATCH } from './api-request.ts'
import { loadCredentials } from './credentials.ts'

const signal = new AbortController().signal
const PODS = '/api/v1/pods?limit=100'
const WATCH = '/api/v1/pods?watch=true'
const BOUNDS = { idleMs: 60_000, maxLineBytes: 1000 }
let fake: FakeKubernetes
const open: ApiConnection[] = []

beforeAll(async () => {
  fake = await FakeKubernetes.start()
})
afterEach(() => {
  fake.fault = undefined
  for (const api of open.splice(0)) api.close()
})
afterAll(() => fake.stop())

async function connect(clock: Clock = systemClock) {
  const problems = new Problems(clock)
  const server = await loadCredentials({ kubeconfig: fake.adminKubeconfig })
  const api = new ApiConnection(server, { clock, maxConnections: 4, problems })
  open.push(api)
  return { api, problems }
}

const rbac = (verb: string, resource: string, group = '') =>
  JSON.stringify({
    kind: 'Status',
    message: `${resource} is forbidden: User "system:serviceaccount:countersign-system:broker" cannot ${verb} resource "${resource}" in API group "${group}" at the cluster scope`,
  })

test.for([
  { method: 'PUT', contentType: undefined, seen: 'application/json' },
  { method: 'PATCH', contentType: MERGE_PATCH, seen: 'application/merge-patch+json' },
  { method: 'DELETE', contentType: undefined, seen: undefined },
] as const)('sends $method as $seen', async ({ method, contentType, seen }) => {
  const { api } = await connect()
  let headers: unknown
  fake.fault = () => ({
    answerWith: (response) => {
      headers = { method: response.req.method, type: response.req.headers['content-type'] }
      response.end('{}')
    },
  })
  const asked: ApiRequest = {
    method,
    path: '/x',
    ...(seen && { body: '{"a":1}' }),
    ...(contentType && { contentType }),
  }
  expect(await api.send(asked, signal)).toEqual({ status: 200, body: '{}' })
  expect(headers).toEqual({ method, type: seen })
})

test('a missing rule is named, reported, and no problem any more once it is there; the rest goes on', async () => {
  const { api, problems } = await connect()
  fake.fault = (path) => (path === PODS ? { status: 403, body: rbac('list', 'pods') } : undefined)
  await expect(api.send({ method: 'GET', path: PODS }, signal)).rejects.toMatchObject({
    code: 'kubernetes_forbidden',
    message: 'the API server does not let system:serviceaccount:countersign-system:broker list pods',
    retryAfterMs: 1000,
    facts: { rule: '{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }' },
  })
  expect((await api.send({ method: 'GET', path: '/api/v1/nodes' }, signal)).status).toBe(200)
  expect(problems.list()).toMatchObject([
    {
      key: 'rbac/list/core/pods/*',
      code: 'kubernetes_forbidden',
      remedy: 'Add to a ClusterRole of it: { apiGroups: [""], resources: ["pods"], verbs: ["list"] }',
    },
  ])
  fake.fault = undefined
  await api.send({ method: 'GET', path: PODS }, signal)
  expect(problems.list()).toEqual([])
})

test.for([
  { name: 'no body', body: '', says: 'it does not say why' },
  { name: 'another reason', body: '{"message":"namespace x is being terminated"}', says: 'is being terminated' },
  { name: 'a body that is no JSON', body: '<html>', says: 'it does not say why' },
])('a 403 with $name names the rule that was needed', async ({ body, says }) => {
  const { api, problems } = await connect()
  fake.fault = () => ({ status: 403, body })
  const path = '/api/v1/namespaces/x/configmaps'
  await expect(api.send({ method: 'POST', path, body: '{}' }, signal)).rejects.toMatchObject({
    code: 'kubernetes_forbidden',
    message: `the API server forbids create configmaps in namespace x: ${says === 'it does not say why' ? says : 'namespace x is being terminated'}`,
  })
  expect(problems.list()).toHaveLength(1)
})

test('invariant 6: the message of a 403 that repeats a token is not passed on', async () => {
  const { api } = await connect()
  const token = fake.issuer.mint({ facts: tokenFacts(), audience: 'x', lifetimeSeconds: 60 })
  fake.fault = () => ({ status: 403, body: JSON.stringify({ message: `no ${token}` }) })
  const refusal = await api.send({ method: 'GET', path: '/x' }, signal).catch((error: unknown) => error)
  expect(String(refusal)).toContain('[redacted]')
})

test('a background request that is to wait does not keep reviews waiting', async () => {
  const { api } = await connect()
  fake.fault = (path) => (path === PODS ? { status: 429, headers: { 'retry-after': '30' } } : undefined)
  await expect(api.send({ method: 'GET', path: PODS, background: true }, signal)).rejects.toMatchObject({
    code: 'kubernetes_unavailable',
    retryAfterMs: 30_000,
  })
  expect((await api.send({ method: 'GET', path: '/api/v1/nodes' }, signal)).status).toBe(200)
})

/** A watch whose answer the test writes. */
async function watching({ clock = systemClock, bounds = BOUNDS } = {}) {
  const { api } = await connect(clock)
  const answer = Promise.withResolvers<ServerResponse>()
  fake.fault = () => ({
    answerWith: (response) => {
      response.writeHead(200).flushHeaders()
      answer.resolve(response)
    },
  })
  const caller = new AbortController()
  const stream = await api.stream({ method: 'GET', path: WATCH }, bounds, caller.signal)
  if (!stream.lines) throw new Error(stream.body)
  return { lines: stream.lines, server: await answer.promise, caller }
}

test('a stream comes line by line, however it is cut, and ends with the server', async () => {
  const { lines, server } = await watching()
  server.write('{"a":')
  server.write('"ü"}\n{"b"')
  expect(await lines.next()).toEqual({ done: false, value: '{"a":"ü"}' })
  server.end(':1}\n\n{"c":1}\n')
  expect(await lines.next()).toEqual({ done: false, value: '{"b":1}' })
  expect(await lines.next()).toEqual({ done: false, value: '{"c":1}' })
  expect(await lines.next()).toMatchObject({ done: true })
})

test.for([
  { name: 'is cut', end: (server: ServerResponse) => server.destroy(), says: 'has broken off a watch' },
  { name: 'ends within a line', end: (server: ServerResponse) => server.end('{"a"'), says: 'in the middle of a line' },
  {
    name: 'has a line without end',
    end: (server: ServerResponse) => server.write('x'.repeat(1001)),
    says: '1000 bytes',
  },
  {
    name: 'has a line that is too long',
    end: (s: ServerResponse) => s.write(`${'x'.repeat(1001)}\n`),
    says: '1000 bytes',
  },
])('a stream that $name throws', async ({ end, says }) => {
  const { lines, server } = await watching()
  end(server)
  await expect(lines.next()).rejects.toMatchObject({
    code: 'kubernetes_unavailable',
    message: expect.stringContaining(says),
  })
})

test('a stream on which nothing comes is given up; one on which something does is not', async () => {
  const clock = new FakeClock()
  const { lines, server } = await watching({ clock })
  for (let minute = 0; minute < 3; minute += 1) {
    const next = lines.next()
    await clock.advance(50_000)
    server.write('{}\n')
    expect(await next).toEqual({ done: false, value: '{}' })
  }
  const next = lines.next().catch((error: unknown) => error)
  await expect
    .poll(async () => {
      await clock.advance(30_000)
      return Promise.race([next, Promise.resolve('waiting')])
    })
    .toMatchObject({ code: 'kubernetes_unavailable', message: expect.stringContaining('nothing came for 60000 ms') })
})

test('who stops reading or aborts frees the connection', async () => {
  const one = await watching()
  const closed = new Promise((resolve) => one.server.once('close', resolve))
  one.server.write('{}\n')
  await one.lines.next()
  await one.lines.return(undefined)
  await closed
  const two = await watching()
  const next = two.lines.next()
  two.caller.abort(new Error('enough'))
  await expect(next).rejects.toThrow('enough')
})

test.for([
  { name: '410', fault: { status: 410, body: '{}' }, outcome: { status: 410 } },
  { name: '403', fault: { status: 403, body: rbac('watch', 'pods') }, outcome: { code: 'kubernetes_forbidden' } },
  { name: '500', fault: { status: 500 }, outcome: { code: 'kubernetes_unavailable' } },
])('a stream that is refused with $name', async ({ fault, outcome }) => {
  const { api } = await connect()
  fake.fault = () => fault
  const answered = await api.stream({ method: 'GET', path: WATCH }, BOUNDS, signal).catch((error: unknown) => error)
  expect(answered).toMatchObject(outcome)
})

test('streams do not take the connections of reviews', async () => {
  const { api } = await connect()
  fake.fault = (path) =>
    path === WATCH ? { answerWith: (response) => response.writeHead(200).flushHeaders() } : undefined
  const caller = new AbortController()
  for (let index = 0; index < 8; index += 1) await api.stream({ method: 'GET', path: WATCH }, BOUNDS, caller.signal)
  expect((await api.send({ method: 'GET', path: '/api/v1/nodes' }, signal)).status).toBe(200)
  caller.abort()
})
