import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AttestedPod } from '../broker/attestation/attested.ts'
import { discoveredIssuer } from '../broker/attestation/discovered-issuer.ts'
import { NodeAttestor } from '../broker/attestation/node-attestor.ts'
import { PodAttestor } from '../broker/attestation/pod-attestor.ts'
import { SigningKeys } from '../broker/attestation/signing-keys.ts'
import { TokenPrecheck } from '../broker/attestation/token-precheck.ts'
import { TokenReviewer } from '../broker/attestation/token-reviewer.ts'
import { connectKubernetes, type Kubernetes } from '../broker/kubernetes/connect.ts'
import type { Clock } from '../core/runtime/clock.ts'
import { codeOf } from '../core/runtime/errors.ts'

/** A cluster, fake or real, as far as these tests need it. */
export interface ClusterUnderTest {
  readonly adminKubeconfig: string
  readonly clock: Clock
  request(method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly body: string }>
  /** Lets so much time pass, on the cluster's clock and on ours. */
  pass(milliseconds: number): Promise<void>
}

export const AUDIENCE = 'countersign.dev/attestation.test'
/** A new one each time: the last one may still be going. */
const NAMESPACE = `attestation-${randomBytes(4).toString('hex')}`
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`
const ACCOUNTS = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`
const signal = new AbortController().signal

interface Metadata {
  readonly name: string
  readonly uid: string
}

/** Attestors as a broker has them. */
export function attestorsOf(kubernetes: Kubernetes, clock: Clock, mode?: 'jwksOnly') {
  const keys = new SigningKeys({ fetchJwks: kubernetes.fetchJwks, clock })
  const issuer = discoveredIssuer(kubernetes.discoverIssuer, clock)
  const precheck = new TokenPrecheck({ keys, clock }, { issuer, audience: AUDIENCE, maxLifetimeMs: 3_600_000 })
  const reviewer = mode === 'jwksOnly' ? undefined : new TokenReviewer({ review: kubernetes.reviewToken, clock })
  const authorities = { precheck, reviewer }
  return {
    pods: new PodAttestor(authorities),
    nodes: new NodeAttestor(authorities, [`${NAMESPACE}/cart`], clock),
  }
}

/**
 * What attestation does against an API server. The fake one and the real one run the same tests, so that the fake cannot
 * be kinder than the truth.
 */
export function describeAttestation(open: () => Promise<ClusterUnderTest>): void {
  let cluster: ClusterUnderTest
  let kubernetes: Kubernetes
  let nodes: readonly Metadata[]
  let made = 0

  beforeAll(async () => {
    cluster = await open()
    const { adminKubeconfig: kubeconfig, clock } = cluster
    kubernetes = await connectKubernetes({ kubeconfig, audience: AUDIENCE, clock })
    nodes = (await get<{ items: { metadata: Metadata }[] }>('/api/v1/nodes')).items.map(({ metadata }) => metadata)
    await ask('POST', '/api/v1/namespaces', { metadata: { name: NAMESPACE } })
    for (const name of ['cart', 'till']) await ask('POST', ACCOUNTS, { metadata: { name } })
  })
  afterAll(async () => {
    await cluster.request('DELETE', `/api/v1/namespaces/${NAMESPACE}`)
    kubernetes.close()
  })

  /** Attestors as a broker has them that has just been started. */
  const attestors = (mode?: 'jwksOnly') => attestorsOf(kubernetes, cluster.clock, mode)

  async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await cluster.request(method, path, body)
    if (response.status >= 300) throw new Error(`${method} ${path}: ${response.status} ${response.body}`)
    return JSON.parse(response.body) as T
  }
  const get = <T>(path: string) => ask<T>('GET', path)

  async function createPod(name = `cart-${(made += 1)}`): Promise<Metadata> {
    const spec = {
      nodeName: nodes[0]?.name,
      serviceAccountName: 'cart',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'none', image: 'localhost/never-there:none' }],
    }
    return (await ask<{ metadata: Metadata }>('POST', PODS, { metadata: { name, labels: { app: 'cart' } }, spec }))
      .metadata
  }

  /** Gone at once; then as long as the API server may take to notice. */
  async function remove(path: string): Promise<void> {
    await ask('DELETE', `${path}?gracePeriodSeconds=0`)
    await cluster.pass(1000)
  }

  interface TokenSpec {
    pod?: Metadata
    audience?: string
    expirationSeconds?: number
    account?: string
  }
  async function createToken({ pod, audience = AUDIENCE, expirationSeconds = 3600, account = 'cart' }: TokenSpec) {
    const bound = pod && { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid } }
    const { status } = await ask<{ status: { token: string } }>('POST', `${ACCOUNTS}/${account}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], expirationSeconds, ...bound },
    })
    return status.token
  }

  const evidenceOf = (token: string, pod: Metadata) => ({
    token,
    podUid: pod.uid,
    nodeName: nodes[0]?.name ?? '',
    nodeUid: nodes[0]?.uid ?? '',
  })
  /** `accepted`, or the code of the refusal. */
  const outcome = (attempt: Promise<AttestedPod>) => attempt.then(() => 'accepted', codeOf)

  test('invariant 3: a pod-bound token is accepted, with pod and node as the API server has them', async () => {
    const pod = await createPod()
    const account = await get<{ metadata: Metadata }>(`${ACCOUNTS}/cart`)
    const token = await createToken({ pod })
    const expected = {
      namespace: NAMESPACE,
      serviceAccount: 'cart',
      serviceAccountUid: account.metadata.uid,
      podName: pod.name,
      podUid: pod.uid,
      nodeName: nodes[0]?.name,
      nodeUid: nodes[0]?.uid,
      tokenId: expect.any(String),
      reviewed: true,
    }
    expect(await attestors().pods.attest(evidenceOf(token, pod), signal)).toEqual(expected)
    expect(await attestors().nodes.attest(token, signal)).toEqual(expected)
    expect(await attestors('jwksOnly').pods.attest(evidenceOf(token, pod), signal)).toEqual({
      ...expected,
      reviewed: false,
    })
  })

  test.for([
    { name: 'an unbound token', spec: { bound: false }, code: 'token_unbound', review: 'token_rejected' },
    { name: 'another audience', spec: { audience: 'vault' }, code: 'token_audience_wrong', review: 'refused' },
    {
      name: 'a longer life than allowed',
      spec: { expirationSeconds: 7200 },
      code: 'token_too_long_lived',
      review: 'accepted',
    },
  ])('$name is refused locally: $code; the review alone says: $review', async ({ spec, code, review }) => {
    const pod = await createPod()
    const { bound = true, ...rest } = spec as { bound?: boolean } & TokenSpec
    const token = await createToken({ ...(bound && { pod }), ...rest })
    expect(await outcome(attestors().pods.attest(evidenceOf(token, pod), signal))).toBe(code)
    const reviewed = await kubernetes.reviewToken(token, signal).then((said) => (said ? 'accepted' : 'refused'), codeOf)
    expect(reviewed).toBe(review)
  })

  test("the API server's own audience is refused: such a token must never be of use here", async () => {
    const pod = await createPod()
    const token = await createToken({ pod, audience: await kubernetes.discoverIssuer(signal) })
    expect(await outcome(attestors().pods.attest(evidenceOf(token, pod), signal))).toBe('token_audience_wrong')
    expect(await kubernetes.reviewToken(token, signal)).toBeUndefined()
  })

  test('a forged token is refused locally and by the review', async () => {
    const pod = await createPod()
    const [header, body, signature = ''] = (await createToken({ pod })).split('.')
    const token = `${header}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
    expect(await outcome(attestors().pods.attest(evidenceOf(token, pod), signal))).toBe('token_signature_invalid')
    expect(await kubernetes.reviewToken(token, signal)).toBeUndefined()
  })

  test('invariant 4: the agent of another node is refused', async () => {
    const pod = await createPod()
    const evidence = evidenceOf(await createToken({ pod }), pod)
    const other = { nodeName: nodes[1]?.name ?? '', nodeUid: nodes[1]?.uid ?? '' }
    expect(await outcome(attestors().pods.attest({ ...evidence, ...other }, signal))).toBe('node_mismatch')
  })

  test('a deleted pod: its token is refused at once if it was never reviewed', async () => {
    const pod = await createPod()
    const token = await createToken({ pod })
    await remove(`${PODS}/${pod.name}`)
    expect(await outcome(attestors().pods.attest(evidenceOf(token, pod), signal))).toBe('token_rejected')
    // The signature is as good as before: what nobody reviews is believed until it expires.
    expect(await outcome(attestors('jwksOnly').pods.attest(evidenceOf(token, pod), signal))).toBe('accepted')
  })

  test('a deleted pod: its token is refused within 20 s if it was reviewed a moment ago', async () => {
    const pod = await createPod()
    const token = await createToken({ pod })
    const { pods } = attestors()
    expect(await outcome(pods.attest(evidenceOf(token, pod), signal))).toBe('accepted')
    await remove(`${PODS}/${pod.name}`)
    let waitedMs = 1000
    while ((await outcome(pods.attest(evidenceOf(token, pod), signal))) === 'accepted') {
      await cluster.pass(500)
      waitedMs += 500
      expect(waitedMs).toBeLessThanOrEqual(20_500)
    }
    expect(await outcome(pods.attest(evidenceOf(token, pod), signal))).toBe('token_rejected')
  })

  test('a new pod of the same name: the old token is of no use, and none for the old UID', async () => {
    const old = await createPod()
    const oldToken = await createToken({ pod: old })
    await remove(`${PODS}/${old.name}`)
    const pod = await createPod(old.name)
    expect(await outcome(attestors().pods.attest(evidenceOf(oldToken, old), signal))).toBe('token_rejected')
    const token = await createToken({ pod })
    expect(await outcome(attestors().pods.attest(evidenceOf(token, old), signal))).toBe('workload_mismatch')
    expect(await outcome(attestors().pods.attest(evidenceOf(token, pod), signal))).toBe('accepted')
  })

  test('a ServiceAccount that is no agent attests no node, nor can it have a token for the pod of one', async () => {
    const pod = await createPod()
    await expect(createToken({ pod, account: 'till' })).rejects.toThrow(/: 4\d\d /)
    const { nodes } = attestors()
    await expect(nodes.attest(await createToken({ account: 'till' }), signal)).rejects.toMatchObject({
      code: 'token_unbound',
    })
  })

  test('labels are those of the very pod', async () => {
    const { name, uid } = await createPod()
    const pod = { namespace: NAMESPACE, podName: name, podUid: uid }
    expect(Object.fromEntries(await kubernetes.podFacts.podLabels(pod, signal))).toEqual({ app: 'cart' })
    const labels = await kubernetes.podFacts.namespaceLabels(NAMESPACE, signal)
    expect(labels.get('kubernetes.io/metadata.name')).toBe(NAMESPACE)
    const other = kubernetes.podFacts.podLabels({ ...pod, podUid: nodes[0]?.uid ?? '' }, signal)
    await expect(other).rejects.toMatchObject({ code: 'token_rejected' })
  })

  test('a ServiceAccount made anew under its name: tokens of the old one are refused', async () => {
    const pod = await createPod()
    const token = await createToken({ pod })
    await remove(`${ACCOUNTS}/cart`)
    await ask('POST', ACCOUNTS, { metadata: { name: 'cart' } })
    await cluster.pass(1000)
    expect(await outcome(attestors().pods.attest(evidenceOf(token, pod), signal))).toBe('token_rejected')
  })
}
