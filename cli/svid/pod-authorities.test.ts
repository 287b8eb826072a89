import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { svidFor } from '../../test/fakes/workload-identities.ts'
import { authoritiesForPod } from './pod-authorities.ts'
import { svidReport } from './svid-report.ts'

const trustDomain = TrustDomain.parse('prod.example')
const ours = await FakeBrokerAuthorities.create(trustDomain, systemClock)
const theirs = await FakeBrokerAuthorities.create(trustDomain, systemClock)
const forged = await svidFor(theirs, 'cart')
const theirBundle = theirs.bundle.authorities.map(({ der }) => der)

const verified = async (published: Parameters<typeof authoritiesForPod>[1]) => {
  const judging = await authoritiesForPod(theirBundle, published)
  return svidReport({ source: 'pod', chain: forged.chain, ...judging }, systemClock.now()).verified
}

test('a pod that shows an SVID of an authority of its own is not vouched for by its own ca.crt', async () => {
  expect(await verified(async () => ours.bundle)).toMatchObject({ ok: false })
})

test.for<[string, () => Promise<undefined>]>([
  ['is not there', async () => undefined],
  ['may not be read', async () => Promise.reject(new IdentityError('kubernetes_forbidden', 'may not get configmaps'))],
])('where the published bundle %s, the answer says who vouches', async ([, published]) => {
  expect(await verified(published)).toMatchObject({ ok: true, reason: expect.stringContaining('own ca.crt alone') })
})
