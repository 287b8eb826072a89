import { create, toJson } from '@bufbuild/protobuf'
import { TimestampSchema } from '@bufbuild/protobuf/wkt'
import { Metadata } from '@grpc/grpc-js'
import { beforeEach, describe, expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { x509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { ListAgentsRequestSchema, ListAgentsResponseSchema } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { RevisionKind, type SyncRequest, SyncRequestSchema } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { listAgents, nodeAgents } from '../admin/agent-answers.ts'
import { SyncHub } from '../sync/sync-hub.ts'
import type { Caller } from './caller.ts'
import { nodeService } from './node-service.ts'

const { BUNDLES } = RevisionKind
const { signal } = new AbortController()
const call = { peer: 'p', metadata: new Metadata(), signal, fail: () => {}, reset: () => {} }
let clock: FakeClock
let hub: SyncHub
let caller: Caller | undefined
let ended: unknown[]
let refused: string[]

beforeEach(() => {
  clock = new FakeClock('2026-01-01T00:00:00Z')
  hub = new SyncHub(clock)
  hub.publish({ kind: BUNDLES, revision: 5n, state: { case: 'bundles', value: {} } })
  caller = {
    kind: 'agent',
    nodeName: 'node-a',
    notBefore: new Date('2025-12-31T23:00:00Z'),
    notAfter: new Date('2026-01-01T01:00:00Z'),
  }
  ended = []
  refused = []
})

const service = () =>
  nodeService({
    attestation: { issue: () => Promise.reject(new IdentityError('attestation_refused', 'no')) },
    issuance: { issue: async () => [{ requestId: 'r', refusal: new TypeError('a bug with a secret') }] },
    hub,
    broker: {
      clock,
      bundle: () => x509Bundle(TrustDomain.parse('prod.example'), [], { sequence: 5n }),
      callerOf: () => caller,
      onCallerRefused: (method, error) => refused.push(`${method} ${(error as IdentityError).code}`),
    },
    end: (nodeName, serialNumbers) => ended.push([nodeName, serialNumbers]),
  })

/** An agent that says these, and then stays. */
async function* says(...messages: SyncRequest['message'][]): AsyncGenerator<SyncRequest> {
  for (const message of messages) yield create(SyncRequestSchema, { message })
  await new Promise(() => {})
}

const message = (value: object) => value as SyncRequest['message']
const hello = (bundleSequence = 0n) =>
  message({ case: 'hello', value: { bundleSequence, agentVersion: '', heldSerialNumbers: [] } })

const sync = (...messages: SyncRequest['message'][]) =>
  service()
    .sync(says(...messages), call)
    [Symbol.asyncIterator]()

test('a Hello says what its node enforces already', async () => {
  const stream = sync(hello(5n))
  await stream.next()
  expect(hub.unacknowledged(BUNDLES, 5n, ['node-a'])).toEqual([])
})

test.for([
  ['a minute ahead', 1_767_225_660n, 60_000],
  ['in a year that no duration reaches', 8_000_000_000_000n, 100 * 365 * 86_400_000],
  ['long before any', -8_000_000_000_000n, -100 * 365 * 86_400_000],
  ['no time at all', 9_000_000_000_000_000_000n, undefined],
] as const)('a clock that is %s keeps nobody from the answer about all agents', async ([, seconds, skewMs]) => {
  const agentTime = create(TimestampSchema, { seconds })
  const stream = sync(message({ case: 'hello', value: { agentVersion: '', heldSerialNumbers: [], agentTime } }))
  await stream.next()
  expect(hub.agents().get('node-a')?.says?.skewMs).toBe(skewMs)
  const answer = listAgents(create(ListAgentsRequestSchema, {}), nodeAgents(hub, new Map()), 5n)
  expect(toJson(ListAgentsResponseSchema, create(ListAgentsResponseSchema, answer))).toHaveProperty('agents.length', 1)
})

test('an acknowledgement counts for the node of its certificate', async () => {
  const stream = sync(hello(), message({ case: 'acknowledgement', value: { kind: BUNDLES, revision: 5n } }))
  await stream.next()
  await expect.poll(() => hub.unacknowledged(BUNDLES, 5n, ['node-a', 'node-b'])).toEqual(['node-b'])
})

test('SVIDs that have ended are those of the node of the certificate (invariant 4)', async () => {
  const stream = sync(hello(), message({ case: 'ended', value: { serialNumbers: ['40aa'] } }))
  await stream.next()
  await expect.poll(() => ended).toEqual([['node-a', ['40aa']]])
})

test('an agent that says nothing is not waited for', async () => {
  const stream = sync()
  const next = stream.next().catch((error: IdentityError) => error.code)
  await clock.advance(10_000)
  expect(await next).toBe('deadline_exceeded')
})

test('a bug in an item is told as internal, with no detail', async () => {
  const response = await service().issueX509Svids({ requests: [] } as never, call)
  expect(response.results).toMatchObject([
    { requestId: 'r', outcome: { case: 'refusal', value: { code: 'internal', message: 'internal error' } } },
  ])
})

describe('who may call', () => {
  const expired = new IdentityError('agent_certificate_expired', 'x')
  test.for<{ name: string; who: Caller | undefined; code: string }>([
    { name: 'nobody known', who: undefined, code: 'agent_certificate_required' },
    { name: 'without a certificate', who: { kind: 'anonymous' }, code: 'agent_certificate_required' },
    { name: 'a refused certificate', who: { kind: 'refused', error: expired }, code: 'agent_certificate_expired' },
    {
      name: 'a certificate that has expired since',
      who: {
        kind: 'agent',
        nodeName: 'node-a',
        notBefore: new Date('2025-12-31T23:00:00Z'),
        notAfter: new Date('2025-12-31T23:59:59Z'),
      },
      code: 'agent_certificate_expired',
    },
  ])('$name', async ({ who, code }) => {
    caller = who
    await expect(service().issueX509Svids({ requests: [] } as never, call)).rejects.toMatchObject({ code })
    await expect(sync(hello()).next()).rejects.toMatchObject({ code })
    expect(refused).toEqual([`issueX509Svids ${code}`, `sync ${code}`])
  })

  test('a certificate counts to the end of its last second', async () => {
    caller = { kind: 'agent', nodeName: 'node-a', notBefore: new Date('2025-12-31T23:00:00Z'), notAfter: clock.now() }
    expect((await service().issueX509Svids({ requests: [] } as never, call)).results).toHaveLength(1)
  })
})
