import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { attestedPod } from '../../test/fakes/attested.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { newCsr } from '../../test/fakes/node-client.ts'
import type { AttestedNode } from '../attestation/attested.ts'
import { NodeAttestation } from './attest-node.ts'
import type { RefusalAudit } from './refusal-audit.ts'
import { SigningBudget } from './signing-budget.ts'
import type { SignedX509Svid, SigningOrder, X509SvidSigner } from './x509-svid-signer.ts'

const ATTESTED = attestedPod()

/** Tokens `slow` are being looked at until the test ends; `good` is believed at once. */
function attestation(sign: (order: SigningOrder) => Promise<SignedX509Svid>) {
  const attest = (token: string): Promise<AttestedNode> =>
    token === 'good' ? Promise.resolve(ATTESTED) : new Promise(() => {})
  const budget = new SigningBudget(new FakeClock(), { maxConcurrent: 1, maxQueued: 1, maxWaitMs: 1000 })
  const audit = { refused: () => {} } as unknown as RefusalAudit
  return new NodeAttestation(
    { attest, signer: { sign } as X509SvidSigner, budget, audit },
    { trustDomain: TrustDomain.parse('prod.example'), ttlMs: 3_600_000 },
  )
}

const { signal } = new AbortController()

test('tokens that are still being looked at hold no place: others are signed for', async () => {
  const orders: SigningOrder[] = []
  const nodes = attestation(async (order) => {
    orders.push(order)
    return { serialNumber: '01' } as SignedX509Svid
  })
  const { csr } = await newCsr()
  for (let count = 0; count < 10; count += 1) void nodes.issue({ token: 'slow', csr, peer: 'p' }, signal)
  expect(await nodes.issue({ token: 'good', csr, peer: 'p' }, signal)).toMatchObject({ serialNumber: '01' })
  expect(orders).toMatchObject([{ kind: 'agent', commonName: ATTESTED.nodeUid, nodeName: ATTESTED.nodeName }])
})

test('more than can be signed for are told when to come back', async () => {
  const nodes = attestation(() => new Promise(() => {}))
  const { csr } = await newCsr()
  for (let count = 0; count < 2; count += 1) void nodes.issue({ token: 'good', csr, peer: 'p' }, signal).catch(() => {})
  const refusal = await nodes.issue({ token: 'good', csr, peer: 'p' }, signal).catch((error: unknown) => error)
  expect(refusal).toBeInstanceOf(IdentityError)
  expect(refusal).toMatchObject({ code: 'overloaded', retryAfterMs: expect.any(Number) as number })
})
