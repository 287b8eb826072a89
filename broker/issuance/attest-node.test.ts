import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { attestedPod } from '../../test/fakes/attested.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { newCsr } from '../../test/fakes/node-client.ts'
import type { AttestedNode } from '../attestation/attested.ts'
import { NodeAttestation } from './attest-node.ts'
import { NodeAttestationRates } from './issuance-rates.ts'
import type { RefusalAudit } from './refusal-audit.ts'
import { SigningBudget } from './signing-budget.ts'
import type { SignedX509Svid, SigningOrder, X509SvidSigner } from './x509-svid-signer.ts'

const ATTESTED = attestedPod()

/** Tokens `slow` are being looked at until the test ends; others are believed at once, but for `deleted` the second time. */
function attestation(sign: (order: SigningOrder) => Promise<SignedX509Svid>) {
  const seen = new Set<string>()
  const attest = async (token: string): Promise<AttestedNode> => {
    if (token === 'slow') return new Promise(() => {})
    if (token === 'deleted' && seen.has(token)) throw new IdentityError('token_rejected', 'the pod is gone')
    if (token === 'forbidden') throw new IdentityError('kubernetes_forbidden', 'the API server does not let broker ask')
    seen.add(token)
    return ATTESTED
  }
  const clock = new FakeClock()
  const budget = new SigningBudget(clock, { maxConcurrent: 1, maxQueued: 1, maxWaitMs: 10_000 })
  const rates = new NodeAttestationRates(clock, { burst: 3, perSecond: 0.1 })
  const audit = { refused: () => {} } as unknown as RefusalAudit
  const nodes = new NodeAttestation(
    { attest, signer: { sign } as X509SvidSigner, budget, rates, audit, clock },
    { trustDomain: TrustDomain.parse('prod.example'), ttlMs: 3_600_000 },
  )
  return { nodes, clock }
}

const SIGNED = { serialNumber: '01' } as SignedX509Svid
const { signal } = new AbortController()

test('tokens that are still being looked at hold no place: others are signed for', async () => {
  const orders: SigningOrder[] = []
  const { nodes } = attestation(async (order) => {
    orders.push(order)
    return SIGNED
  })
  const { csr } = await newCsr()
  for (let count = 0; count < 10; count += 1) void nodes.issue({ token: 'slow', csr, peer: 'p' }, signal)
  expect(await nodes.issue({ token: 'good', csr, peer: 'p' }, signal)).toMatchObject({ serialNumber: '01' })
  expect(orders).toMatchObject([{ kind: 'agent', commonName: ATTESTED.nodeUid, nodeName: ATTESTED.nodeName }])
})

test('more than can be signed for are told when to come back', async () => {
  const { nodes } = attestation(() => new Promise(() => {}))
  const { csr } = await newCsr()
  for (let count = 0; count < 2; count += 1) void nodes.issue({ token: 'good', csr, peer: 'p' }, signal).catch(() => {})
  const refusal = await nodes.issue({ token: 'good', csr, peer: 'p' }, signal).catch((error: unknown) => error)
  expect(refusal).toBeInstanceOf(IdentityError)
  expect(refusal).toMatchObject({ code: 'overloaded', retryAfterMs: expect.any(Number) as number })
})

test('a node is attested so often and no more, until time has passed', async () => {
  let signatures = 0
  const { nodes, clock } = attestation(async () => {
    signatures += 1
    return SIGNED
  })
  const { csr } = await newCsr()
  for (let count = 0; count < 3; count += 1) await nodes.issue({ token: 'good', csr, peer: 'p' }, signal)
  await expect(nodes.issue({ token: 'good', csr, peer: 'p' }, signal)).rejects.toMatchObject({
    code: 'overloaded',
    retryAfterMs: 10_000,
  })
  expect(signatures).toBe(3)
  await clock.advance(10_000)
  expect(await nodes.issue({ token: 'good', csr, peer: 'p' }, signal)).toBe(SIGNED)
})

test('a token that is no good any more after the wait for a turn is refused', async () => {
  const ended = Promise.withResolvers<SignedX509Svid>()
  let signatures = 0
  const { nodes, clock } = attestation(() => {
    signatures += 1
    return ended.promise
  })
  const { csr } = await newCsr()
  const first = nodes.issue({ token: 'good', csr, peer: 'p' }, signal)
  const second = nodes.issue({ token: 'deleted', csr, peer: 'p' }, signal).catch((error: unknown) => error)
  // Both have been looked at by then: the one is being signed for, the other waits.
  await setImmediate()
  await clock.advance(5_000)
  ended.resolve(SIGNED)
  await first
  expect(await second).toMatchObject({ code: 'attestation_refused' })
  expect(signatures).toBe(1)
})

test('what the API server lets the broker do is nothing for strangers', async () => {
  const { nodes } = attestation(async () => SIGNED)
  const { csr } = await newCsr()
  const refusal = await nodes.issue({ token: 'forbidden', csr, peer: 'p' }, signal).catch((error: unknown) => error)
  expect(refusal).toMatchObject({ code: 'kubernetes_unavailable', retryAfterMs: expect.any(Number) as number })
  expect((refusal as Error).message).not.toContain('does not let')
})
