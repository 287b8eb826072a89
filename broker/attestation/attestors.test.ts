import { expect, test } from 'vitest'
import { tokenFacts } from '../../test/fakes/attested.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { TokenIssuer } from '../../test/fakes/token-issuer.ts'
import type { TokenFacts } from './attested.ts'
import { NodeAttestor } from './node-attestor.ts'
import { PodAttestor } from './pod-attestor.ts'
import { SigningKeys } from './signing-keys.ts'
import { TokenPrecheck } from './token-precheck.ts'
import { type ReviewToken, TokenReviewer } from './token-reviewer.ts'

const AUDIENCE = 'countersign.dev/prod.example'
const clock = new FakeClock()
const issuer = new TokenIssuer({ clock })
const signal = new AbortController().signal
const facts = tokenFacts()
const token = issuer.mint({ facts, audience: AUDIENCE })
const evidence = { token, podUid: facts.podUid, nodeName: facts.nodeName, nodeUid: facts.nodeUid }

/** Attestors whose API server answers with `review`, and who count how often it is asked. */
function attestors(review: ReviewToken | 'none' = () => Promise.resolve(facts)) {
  const counted = { reviews: 0 }
  const keys = new SigningKeys({ fetchJwks: () => Promise.resolve(issuer.jwks()), clock })
  const rules = { issuer: issuer.issuer, audience: AUDIENCE, maxLifetimeMs: 3_600_000 }
  const precheck = new TokenPrecheck({ keys, clock }, rules)
  const counting: ReviewToken = (text, inTime) => {
    counted.reviews += 1
    return review === 'none' ? Promise.reject(new Error('nobody asks')) : review(text, inTime)
  }
  const reviewer = review === 'none' ? undefined : new TokenReviewer({ review: counting, clock })
  const authorities = { precheck, reviewer }
  return { pods: new PodAttestor(authorities), nodes: new NodeAttestor(authorities, ['shop/cart'], clock), counted }
}

test('attests a pod by one review', async () => {
  const { pods, counted } = attestors()
  expect(await pods.attest(evidence, signal)).toEqual({ ...facts, reviewed: true })
  expect(counted.reviews).toBe(1)
})

test('invariant 3: where the JWKS alone vouches, the record says that nobody reviewed the token', async () => {
  const { pods, nodes } = attestors('none')
  expect(await pods.attest(evidence, signal)).toEqual({ ...facts, reviewed: false })
  expect(await nodes.attest(token, signal)).toEqual({ ...facts, reviewed: false })
})

test('however many tokens are made for a pod of the agent, the API server is asked about so many of them', async () => {
  const { nodes, counted } = attestors()
  const attest = (change: Partial<TokenFacts>) =>
    nodes.attest(issuer.mint({ facts: { ...facts, ...change }, audience: AUDIENCE }), signal)
  for (let count = 0; count < 100; count += 1) await attest({ tokenId: `id-${count}` }).catch(() => {})
  expect(counted.reviews).toBe(100)
  await expect(attest({ tokenId: 'one more' })).rejects.toMatchObject({ code: 'overloaded' })
  expect(counted.reviews).toBe(100)
  await attest({ podUid: 'its successor', tokenId: 'of another' }).catch(() => {})
  expect(counted.reviews).toBe(101)
  await clock.advance(5_000)
  await attest({ tokenId: 'later' }).catch(() => {})
  expect(counted.reviews).toBe(102)
})

test.for([
  { name: 'another pod than asked for', change: { podUid: 'other' }, code: 'workload_mismatch' },
  { name: 'invariant 4: the agent of another node', change: { nodeName: 'node-b' }, code: 'node_mismatch' },
  { name: 'invariant 4: a new node of the same name', change: { nodeUid: 'other' }, code: 'node_mismatch' },
])('refuses without asking the API server: $name', async ({ change, code }) => {
  const { pods, counted } = attestors()
  await expect(pods.attest({ ...evidence, ...change }, signal)).rejects.toMatchObject({ code })
  expect(counted.reviews).toBe(0)
})

test.for(Object.keys(facts) as (keyof TokenFacts)[])(
  'invariant 3: refuses if the API server says another %s than the token',
  async (fact) => {
    const { pods, nodes } = attestors(() => Promise.resolve({ ...facts, [fact]: 'other' }))
    const refusal = {
      code: 'token_rejected',
      cause: expect.objectContaining({ message: `the review differs in ${fact}` }),
    }
    await expect(pods.attest(evidence, signal)).rejects.toMatchObject(refusal)
    await expect(nodes.attest(token, signal)).rejects.toMatchObject(refusal)
  },
)

test('refuses a token that the API server does not accept: its pod is gone', async () => {
  const { pods } = attestors(() => Promise.resolve(undefined))
  await expect(pods.attest(evidence, signal)).rejects.toMatchObject({ code: 'token_rejected' })
})

test('attests an agent by its ServiceAccount, and asks about no other', async () => {
  const { nodes, counted } = attestors()
  expect(await nodes.attest(token, signal)).toEqual({ ...facts, reviewed: true })
  const other = issuer.mint({ facts: tokenFacts({ serviceAccount: 'till' }), audience: AUDIENCE })
  await expect(nodes.attest(other, signal)).rejects.toMatchObject({ code: 'agent_not_allowed' })
  expect(counted.reviews).toBe(1)
})

test('a flood of bad tokens never reaches the API server, and good ones are served beside it', async () => {
  const { pods, counted } = attestors()
  const [head = '', body = ''] = token.split('.')
  await pods.attest(evidence, signal)
  const flood = Array.from({ length: 2000 }, (_, index) => {
    const forged = `${head}.${body}.${Buffer.from(`forged ${index}`).toString('base64url')}`
    return pods.attest({ ...evidence, token: forged }, signal).catch((error: unknown) => error)
  })
  expect(await pods.attest(evidence, signal)).toMatchObject({ reviewed: true })
  for (const refusal of await Promise.all(flood)) expect(refusal).toMatchObject({ code: 'token_signature_invalid' })
  expect(counted.reviews).toBe(1)
})
