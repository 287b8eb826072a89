import { Metadata } from '@grpc/grpc-js'
import { beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { MemoryLedger } from '../../test/fakes/memory-ledger.ts'
import { AdminAudit } from './admin-audit.ts'
import { AdminGuard } from './admin-guard.ts'

const demand = {
  method: 'listAgents',
  rule: { verb: 'list', resource: 'nodeagents', namespace: '' },
  target: 'node-a',
} as const

let clock: FakeClock
let ledger: MemoryLedger
let guard: AdminGuard

beforeEach(() => {
  clock = new FakeClock()
  ledger = new MemoryLedger()
  guard = new AdminGuard({
    clock,
    peerOf: () => ({ kind: 'anonymous' }),
    userOfToken: async (token) => ({ name: token, uid: undefined, groups: [], extra: {} }),
    authorization: { check: async () => {} },
    audit: new AdminAudit(ledger, clock),
  })
})

function admit(token: string | undefined) {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
  return guard.admit(demand, { peer: '10.0.0.1#1', metadata, signal: new AbortController().signal })
}
const codesOf = async (count: number, token?: string) => {
  const codes: string[] = []
  for (let call = 0; call < count; call += 1) {
    await admit(token).then(
      () => codes.push('ok'),
      ({ code }: { code: string }) => codes.push(code),
    )
  }
  return codes
}

test('a user who asks too often is told to wait, and another is not', async () => {
  const codes = await codesOf(150, 'jane')
  expect(codes.filter((code) => code === 'ok')).toHaveLength(100)
  expect(codes.at(-1)).toBe('overloaded')
  expect(await codesOf(1, 'joe')).toEqual(['ok'])
  await clock.advance(1_000)
  expect(await codesOf(1, 'jane')).toEqual(['ok'])
})

test('a flood of strangers is a few records, and the next says how many there were', async () => {
  await codesOf(1000)
  expect(ledger.events).toHaveLength(50)
  await clock.advance(1_000)
  await codesOf(1)
  expect(ledger.events.at(-1)).toEqual({
    event: 'admin_refused',
    code: 'admin_credentials_required',
    method: 'listAgents',
    peer: '10.0.0.1#1',
    suppressed: 950,
  })
})

test('a flood of strangers hides neither who was let in nor who was not', async () => {
  await codesOf(1000)
  const before = ledger.events.length
  await codesOf(101, 'jane')
  const records = ledger.events.slice(before)
  expect(records).toHaveLength(101)
  expect(records[0]).toMatchObject({ event: 'admin_called', user: 'jane', target: 'node-a' })
  expect(records.at(-1)).toMatchObject({ event: 'admin_refused', user: 'jane', code: 'overloaded' })
})

test('who asks for a day, as often as may be, does not fill the ledger; the next record says of how many calls it stands', async () => {
  let calls = 0
  for (let minute = 0; minute < 24 * 60; minute += 1) {
    calls += (await codesOf(60, 'jane')).filter((code) => code === 'ok').length
    await clock.advance(60_000)
  }
  const records = ledger.events.filter(({ event }) => event === 'admin_called')
  expect(calls).toBe(24 * 60 * 60)
  expect(records.length).toBeLessThan(20_000)
  const unrecorded = records.reduce((sum, record) => sum + Number(record['unrecorded'] ?? 0), 0)
  expect(calls - records.length - unrecorded).toBeLessThan(60)
  expect((await codesOf(1, 'joe')).length).toBe(1)
  expect(ledger.events.at(-1)).toMatchObject({ event: 'admin_called', user: 'joe' })
})

test('metadata that says twice who calls is refused', async () => {
  const metadata = new Metadata()
  metadata.add('authorization', 'Bearer jane')
  metadata.add('authorization', 'Bearer joe')
  const call = { peer: 'x', metadata, signal: new AbortController().signal }
  await expect(guard.admit(demand, call)).rejects.toMatchObject({ code: 'admin_credentials_required' })
})
