import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { connectKubernetes } from '../broker/kubernetes/connect.ts'
import { AUDIENCE, attestorsOf, describeAttestation } from './attestation-behaviour.ts'
import { FakeClock } from './fakes/fake-clock.ts'
import { FakeKubernetes } from './fakes/fake-kubernetes.ts'

const clock = new FakeClock()
const fake = await FakeKubernetes.start({ clock })
const kubernetes = await connectKubernetes({ kubeconfig: fake.adminKubeconfig, audience: AUDIENCE, clock })
afterAll(async () => {
  kubernetes.close()
  await fake.stop()
})

describe('as against the real API server', () => {
  describeAttestation(async () => ({
    adminKubeconfig: fake.adminKubeconfig,
    clock,
    request: (method, path, body) => fake.request(method, path, body),
    pass: (milliseconds) => clock.advance(milliseconds),
  }))
})

describe('what only a fake can show', () => {
  const pod = { namespace: 'shop', serviceAccount: 'cart', name: 'cart-0' }
  const facts = fake.state.addPod({ ...pod, node: 'node-a' })
  const signal = new AbortController().signal
  const evidence = (token = fake.tokenOf(pod, AUDIENCE)) => ({ token, podUid: facts.podUid, nodeName: 'node-a' })
  afterEach(() => {
    fake.fault = undefined
    fake.rewriteReview = undefined
  })

  test('one renewal costs one TokenReview, and keys and issuer none', async () => {
    const { pods } = attestorsOf(kubernetes, clock)
    await pods.attest(evidence(), signal)
    const before = new Map(fake.asked)
    for (let renewal = 0; renewal < 5; renewal += 1) await pods.attest(evidence(), signal)
    const asked = [...fake.asked].map(([path, count]) => [path, count - (before.get(path) ?? 0)])
    expect(asked.filter(([, count]) => count !== 0)).toEqual([['/apis/authentication.k8s.io/v1/tokenreviews', 5]])
  })

  test.for([
    { name: 'the username of another ServiceAccount', user: { username: 'system:serviceaccount:shop:till' } },
    { name: 'another UID of the ServiceAccount', user: { uid: 'other' } },
    { name: 'another pod', user: { extra: { 'authentication.kubernetes.io/pod-uid': ['other'] } } },
    { name: 'another node', user: { extra: { 'authentication.kubernetes.io/node-name': ['node-b'] } } },
    { name: 'another token', user: { extra: { 'authentication.kubernetes.io/credential-id': ['JTI=other'] } } },
    { name: 'no node', user: { extra: { 'authentication.kubernetes.io/node-uid': [] } } },
  ])('invariant 3: a review of $name is not believed', async ({ user }) => {
    fake.rewriteReview = (status) => ({
      ...status,
      user: { ...status.user, ...user, extra: { ...status.user?.extra, ...user.extra } },
    })
    const { pods } = attestorsOf(kubernetes, clock)
    await expect(pods.attest(evidence(), signal)).rejects.toMatchObject({ code: 'token_rejected' })
  })

  test('invariant 3: a review that does not echo our audience is not believed', async () => {
    fake.rewriteReview = (status) => ({ ...status, audiences: [] })
    const { pods } = attestorsOf(kubernetes, clock)
    await expect(pods.attest(evidence(), signal)).rejects.toMatchObject({ code: 'token_rejected' })
  })

  test('while the API server is away nothing is attested, and all is as it comes back', async () => {
    const { pods } = attestorsOf(kubernetes, clock)
    await pods.attest(evidence(), signal)
    fake.fault = () => 'reset'
    const refusal = { code: 'kubernetes_unavailable', retryAfterMs: 1000 }
    await expect(pods.attest(evidence(), signal)).rejects.toMatchObject(refusal)
    await expect(attestorsOf(kubernetes, clock).pods.attest(evidence(), signal)).rejects.toMatchObject(refusal)
    fake.fault = undefined
    expect(await pods.attest(evidence(), signal)).toMatchObject({ reviewed: true })
  })
})
