import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { newSerialNumber, serialToHex } from '../../core/pki/serial-number.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { anIntent } from './ledger.contract.ts'
import type { IdentityFilter, PageBounds, PageOf } from './ledger-queries.ts'
import type { IssuanceIntent } from './ledger.ts'
import { SqliteLedger } from './sqlite-ledger.ts'
import { SqliteQueries } from './sqlite-queries.ts'

const HOUR = 3_600_000
const auditKey = { id: 'one', key: new Uint8Array(32) }
const ID = 'spiffe://prod.example/ns'
let clock: FakeClock
let file: string
let ledger: SqliteLedger
let queries: SqliteQueries

beforeEach(async () => {
  clock = new FakeClock('2026-01-01T00:00:00Z')
  file = join(mkdtempSync(join(tmpdir(), 'queries-')), 'ledger.sqlite')
  ledger = await SqliteLedger.open({ file, auditKey, clock })
  queries = new SqliteQueries(file, clock, auditKey)
})
afterEach(async () => {
  await queries.close()
  await ledger.close()
})

/** Issues an SVID a second later than the one before, and says its serial number. */
async function issue(change: Partial<IssuanceIntent> = {}): Promise<string> {
  await clock.advance(1000)
  const serialNumber = serialToHex(newSerialNumber(clock, systemRandom))
  const notAfter = new Date(clock.now().getTime() + HOUR)
  await ledger.intend([anIntent({ serialNumber, notAfter, ...change })])
  return serialNumber
}

const pod = (namespace: string, serviceAccount: string, uid: string) => ({
  spiffeId: `${ID}/${namespace}/sa/${serviceAccount}`,
  pod: { namespace, name: `${serviceAccount}-0`, uid, serviceAccount },
})

/** Every page after the other. */
async function all<T>(ask: (page: PageBounds) => Promise<PageOf<T>>, size = 2): Promise<T[]> {
  const rows: T[] = []
  let after: string | undefined
  do {
    const page = await ask({ after, size })
    expect(page.rows.length).toBeLessThanOrEqual(size)
    rows.push(...page.rows)
    after = page.next
  } while (after !== undefined)
  return rows
}

const serials = async (filter: Omit<IdentityFilter, 'at'>) =>
  (await all((page) => queries.identities({ at: clock.now(), ...filter }, page))).map((row) => row.serialNumber)

describe('identities', () => {
  test('newest first, page by page, each once, whatever is issued meanwhile', async () => {
    const issued = [await issue(), await issue(), await issue(), await issue(), await issue()]
    expect(await serials({})).toEqual(issued.toReversed())
    const first = await queries.identities({ at: clock.now() }, { after: undefined, size: 2 })
    await issue()
    const second = await queries.identities({ at: clock.now() }, { after: first.next, size: 10 })
    expect([...first.rows, ...second.rows].map((row) => row.serialNumber)).toEqual(issued.toReversed())
  })

  test('by what they are of', async () => {
    const cart = await issue(pod('shop', 'cart', 'uid-1'))
    const till = await issue({ ...pod('shop', 'till', 'uid-2'), nodeName: 'node-b' })
    const shopping = await issue(pod('shopping', 'cart', 'uid-3'))
    const agent = await issue({
      ...pod('', '', ''),
      kind: 'agent',
      spiffeId: 'spiffe://prod.example/countersign/agent/a',
    })
    const cases: [Omit<IdentityFilter, 'at'>, string[]][] = [
      [{ namespace: 'shop' }, [till, cart]],
      [{ namespace: 'shop', serviceAccount: 'cart' }, [cart]],
      [{ serviceAccount: 'cart' }, [shopping, cart]],
      [{ nodeName: 'node-b' }, [till]],
      [{ podUid: 'uid-3' }, [shopping]],
      [{ kind: 'agent' }, [agent]],
      [{ spiffeId: `${ID}/shop/sa/cart` }, [cart]],
      [{ spiffeId: `${ID}/shop` }, []],
      [{ spiffeIdPrefix: `${ID}/shop` }, [till, cart]],
      [{ spiffeIdPrefix: `${ID}/shop/sa/cart` }, [cart]],
      [{ spiffeIdPrefix: `${ID}/sho` }, []],
      [{ spiffeIdPrefix: 'spiffe://prod.example' }, [agent, shopping, till, cart]],
      [{ spiffeIdPrefix: 'spiffe://prod.exampl' }, []],
      [{ namespace: "shop' OR 1=1 --" }, []],
    ]
    for (const [filter, expected] of cases) expect(await serials(filter), JSON.stringify(filter)).toEqual(expected)
  })

  test('by where they are in their life', async () => {
    const expired = await issue({ notAfter: clock.now() })
    const ended = await issue()
    const failed = await issue()
    const valid = await issue()
    ledger.end('node-a', [ended])
    ledger.conclude([
      { serialNumber: failed, outcome: 'failed' },
      { serialNumber: valid, outcome: 'issued' },
    ])
    await ledger.intend([])
    expect(await serials({ state: 'expired' })).toEqual([expired])
    expect(await serials({ state: 'ended' })).toEqual([ended])
    expect(await serials({ state: 'failed' })).toEqual([failed])
    expect(await serials({ state: 'valid' })).toEqual([valid])
    expect(await serials({ issuedAfter: clock.now() })).toEqual([valid])
  })

  test('one, with the record of its issuance', async () => {
    const others = [await issue(), await issue()]
    const serialNumber = await issue(pod('shop', 'cart', 'uid-1'))
    expect(await queries.identity(serialNumber)).toMatchObject({ namespace: 'shop', serviceAccount: 'cart' })
    const record = await queries.issuance(serialNumber)
    expect(record?.seq).toBe(3)
    expect(JSON.parse(record?.record ?? '')).toMatchObject({ serialNumber, podName: 'cart-0', template: 'default' })
    expect((await queries.issuance(others[0] ?? ''))?.seq).toBe(1)
    expect(await queries.identity('00')).toBeUndefined()
    expect(await queries.issuance('00')).toBeUndefined()
    expect(await queries.issuance(`4${'0'.repeat(31)}`)).toBeUndefined()
  })
})

describe('audit records', () => {
  const events = async (facts: Record<string, string>, more: { events?: string[]; since?: Date; until?: Date } = {}) =>
    (await all((page) => queries.auditRecords({ facts, ...more }, page))).map(({ seq }) => seq)

  test('newest first, by what they say', async () => {
    const serialNumber = await issue(pod('shop', 'cart', 'uid-1'))
    const middle = clock.now()
    await clock.advance(HOUR)
    ledger.record({ event: 'issuance_refused', code: 'token_expired', podUid: 'uid-2', namespace: 'shop' })
    ledger.record({ event: 'caller_refused', code: 'token_expired', reason: 'it says "podUid":"uid-2"' })
    ledger.end('node-a', [serialNumber])
    await ledger.intend([])
    expect(await events({})).toEqual([4, 3, 2, 1])
    expect(await events({ podUid: 'uid-2' })).toEqual([2])
    expect(await events({ namespace: 'shop' })).toEqual([2, 1])
    expect(await events({ code: 'token_expired' })).toEqual([3, 2])
    expect(await events({ code: 'token_expired', podUid: 'uid-2' })).toEqual([2])
    expect(await events({ serialNumber })).toEqual([4, 1])
    expect(await events({}, { events: ['caller_refused', 'svids_ended'] })).toEqual([4, 3])
    expect(await events({}, { until: clock.now() })).toEqual([1])
    expect(await events({}, { since: new Date(middle.getTime() + 1) })).toEqual([4, 3, 2])
    expect(await events({ podUid: 'uid-2" OR 1=1' })).toEqual([])
  })

  test('a text that its writer forgot to bound is put down as far as a fact is long', async () => {
    ledger.record({ event: 'caller_refused', code: 'request_invalid', reason: '\u0000'.repeat(600_000) })
    await ledger.intend([])
    const { rows } = await queries.auditRecords({ facts: {} }, { after: undefined, size: 1 })
    expect(JSON.parse(rows[0]?.record ?? '')).toMatchObject({ code: 'request_invalid', reason: '\u0000'.repeat(2_048) })
  })

  test('a page has an end for long records, too', async () => {
    for (let record = 0; record < 4; record += 1)
      ledger.record({ event: 'caller_refused', reasons: ['x'.repeat(600_000)] })
    await ledger.intend([])
    const page = await queries.auditRecords({ facts: {} }, { after: undefined, size: 500 })
    expect(page.rows.map(({ seq }) => seq)).toEqual([4, 3])
    expect(page.next).toBe('3')
    const rest = await queries.auditRecords({ facts: {} }, { after: page.next, size: 500 })
    expect(rest.rows.map(({ seq }) => seq)).toEqual([2, 1])
    expect(rest.next).toBeUndefined()
  })
})

test('who holds something that has not expired: all, or one', async () => {
  await issue()
  await clock.advance(60_000)
  await issue({ nodeName: 'node-b' })
  const end = (milliseconds: number) => new Date(clock.now().getTime() + milliseconds)
  expect(await queries.holders(clock.now())).toEqual(await ledger.unexpired(clock.now()))
  expect(await queries.holders(end(HOUR - 30_000))).toEqual(new Map([['node-b', end(HOUR)]]))
  expect([...(await queries.holders(clock.now(), 'node-a')).keys()]).toEqual(['node-a'])
  expect(await queries.holders(clock.now(), 'node-c')).toEqual(new Map())
})

test('what finds nothing has looked at everything', async () => {
  await ledger.intend(Array.from({ length: 9_000 }, (_, index) => anIntent({ serialNumber: `40${index}` })))
  expect(await serials({ podUid: 'nobody' })).toEqual([])
  expect(await all((page) => queries.auditRecords({ facts: { podUid: 'nobody' } }, page))).toEqual([])
})

test('a file that is no ledger is an answer, and a closed one is asked no more', async () => {
  writeFileSync(`${file}.other`, 'not a database'.repeat(1000))
  const other = new SqliteQueries(`${file}.other`, clock, auditKey)
  await expect(other.identity('00')).rejects.toMatchObject({ code: 'store_corrupt' })
  await other.close()
  await expect(other.identity('00')).rejects.toMatchObject({ code: 'store_unavailable' })
})

test('the thread ends when nobody asks, and comes back when somebody does', async () => {
  const serialNumber = await issue()
  expect(await queries.identity(serialNumber)).toBeDefined()
  await clock.advance(61_000)
  expect(await queries.identity(serialNumber)).toBeDefined()
})

test('more questions than may wait are refused', async () => {
  const asked = await Promise.allSettled(Array.from({ length: 40 }, () => queries.identity('00')))
  const refused = asked.filter(({ status }) => status === 'rejected')
  expect(refused).toHaveLength(8)
  expect(refused[0]).toMatchObject({ reason: { code: 'overloaded' } })
})

test.for([
  { name: 'changed', sql: `UPDATE audit SET record = replace(record, 'cart', 'till') WHERE seq = 1` },
  {
    name: 'invented',
    sql: `INSERT INTO audit VALUES (3, 0, '{"event":"admin_called","at":"2026-01-01T00:00:00Z"}', '${'0'.repeat(64)}')`,
  },
])('a record that somebody has $name is not served', async ({ sql }) => {
  const serialNumber = await issue()
  await issue()
  const page = { after: undefined, size: 10 }
  expect((await queries.auditRecords({ facts: {} }, page)).rows).toHaveLength(2)
  const database = new DatabaseSync(file)
  database.exec(sql)
  database.close()
  await expect(queries.auditRecords({ facts: {} }, page)).rejects.toMatchObject({ code: 'store_corrupt' })
  if (sql.startsWith('UPDATE')) {
    await expect(queries.issuance(serialNumber)).rejects.toMatchObject({ code: 'store_corrupt' })
  }
})

test('records of which those before them were let go are served', async () => {
  for (let count = 0; count < 3; count += 1) await issue()
  await ledger.prune(new Date(clock.now().getTime() + HOUR))
  const { rows } = await queries.auditRecords({ facts: {} }, { after: undefined, size: 10 })
  expect(rows.length).toBeGreaterThan(0)
})
