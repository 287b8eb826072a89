import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { array, asyncProperty, assert, constantFrom, integer, oneof, record, string } from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newSerialNumber, serialToHex } from '../../core/pki/serial-number.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import {
  GetIdentityRequestSchema,
  ListAuditRecordsRequestSchema,
  ListIdentitiesRequestSchema,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { anIntent } from '../ledger/ledger.contract.ts'
import { SqliteLedger } from '../ledger/sqlite-ledger.ts'
import { SqliteQueries } from '../ledger/sqlite-queries.ts'
import { listAuditRecords } from './audit-answers.ts'
import { getIdentity, listIdentities } from './identity-answers.ts'

const clock = new FakeClock('2026-01-01T00:00:00Z')
const RUNS = { numRuns: 300 }
let ledger: SqliteLedger
let queries: SqliteQueries

beforeAll(async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'fuzz-')), 'ledger.sqlite')
  const auditKey = { id: 'one', key: new Uint8Array(32) }
  ledger = await SqliteLedger.open({ file, auditKey, clock })
  queries = new SqliteQueries(file, clock, auditKey)
  const pod = { namespace: 'shop', name: 'cart-0', uid: 'uid-1', serviceAccount: 'cart' }
  const serial = () => serialToHex(newSerialNumber(clock, systemRandom))
  await ledger.intend(Array.from({ length: 20 }, () => anIntent({ serialNumber: serial(), pod })))
})
afterAll(async () => {
  await queries.close()
  await ledger.close()
})

/** What a name could be, and what would be more than a name if it were put into a query as it stands. */
const text = oneof(
  string({ unit: 'binary', maxLength: 40 }),
  constantFrom(
    '',
    'shop',
    'cart',
    'uid-1',
    '40',
    '%',
    '_',
    '*',
    "' OR 1=1 --",
    '"; DROP TABLE audit',
    'spiffe://prod.example/',
    'spiffe://prod.example/ns/shop/sa/cart',
    '{"a":1}',
    '\\"podUid\\":\\"uid-1\\"',
  ),
)
const number = oneof(integer({ min: 0, max: 500 }), constantFrom(501, 2 ** 32 - 1))

/** Answered, or refused as a request that is wrong: never anything else, and never a row that was not asked for. */
async function answered<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    expect(error).toBeInstanceOf(IdentityError)
    expect((error as IdentityError).code).toMatch(/^(request_invalid|identity_not_found)$/)
    return undefined
  }
}

test('whatever is asked of identities is answered or refused', async () => {
  const requests = record({
    ...{ namespace: text, spiffeId: text, spiffeIdPrefix: text, serviceAccount: text, nodeName: text, podUid: text },
    ...{ kind: integer({ min: 0, max: 5 }), state: integer({ min: 0, max: 6 }), pageSize: number, pageToken: text },
  })
  const property = asyncProperty(requests, async (fields) => {
    const request = create(ListIdentitiesRequestSchema, fields as MessageInitShape<typeof ListIdentitiesRequestSchema>)
    const page = await answered(listIdentities(request, { queries, clock, longestLifeMs: () => 86_400_000 }))
    for (const identity of page?.identities ?? []) {
      if (fields.namespace !== '') expect(identity.namespace).toBe(fields.namespace)
      if (fields.podUid !== '') expect(identity.podUid).toBe(fields.podUid)
    }
    await answered(getIdentity(create(GetIdentityRequestSchema, { serialNumber: fields.podUid }), { queries, clock }))
  })
  await assert(property, RUNS)
})

test('whatever is asked of the audit is answered or refused', async () => {
  const time = record({ seconds: integer().map(BigInt), nanos: integer({ min: 0, max: 999_999_999 }) })
  const requests = record({
    ...{ namespace: text, code: text, podUid: text, podName: text, nodeName: text, spiffeId: text, serialNumber: text },
    ...{ events: array(text, { maxLength: 3 }), since: time, pageSize: number, pageToken: text },
  })
  const property = asyncProperty(requests, async (fields) => {
    const page = await answered(listAuditRecords(create(ListAuditRecordsRequestSchema, fields), queries))
    for (const { record: found = '' } of page?.records ?? []) {
      const facts = JSON.parse(found) as Record<string, unknown>
      if (fields.namespace !== '') expect(facts['namespace']).toBe(fields.namespace)
      if (fields.podUid !== '') expect(facts['podUid']).toBe(fields.podUid)
    }
  })
  await assert(property, RUNS)
})
