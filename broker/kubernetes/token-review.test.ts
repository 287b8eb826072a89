import { expect, test } from 'vitest'
import { tokenFacts } from '../../test/fakes/attested.ts'
import { readTokenReview } from './token-review.ts'

const AUDIENCE = 'countersign.dev/prod.example'
const facts = tokenFacts()
const EXTRA = 'authentication.kubernetes.io/'

/** The status of a real API server for a pod-bound token. */
const extra = {
  [`${EXTRA}credential-id`]: [`JTI=${facts.tokenId}`],
  [`${EXTRA}node-name`]: [facts.nodeName],
  [`${EXTRA}node-uid`]: [facts.nodeUid],
  [`${EXTRA}pod-name`]: [facts.podName],
  [`${EXTRA}pod-uid`]: [facts.podUid],
}
const user = {
  username: 'system:serviceaccount:shop:cart',
  uid: facts.serviceAccountUid,
  groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
  extra,
}
const status = { authenticated: true, audiences: [AUDIENCE], user }

test('invariant 3: reads what the API server vouches for', () => {
  expect(readTokenReview({ status }, AUDIENCE)).toEqual(facts)
})

test.for([
  { name: 'authenticated: false', review: { status: { ...status, authenticated: false, error: 'expired' } } },
  { name: 'authenticated as a text', review: { status: { ...status, authenticated: 'true' } } },
  { name: 'no status', review: {} },
  { name: 'null', review: null },
])('does not accept $name', ({ review }) => {
  expect(readTokenReview(review, AUDIENCE)).toBeUndefined()
})

const withUser = (changes: object) => ({ ...status, user: { ...user, ...changes } })
const withExtra = (changes: object) => withUser({ extra: { ...extra, ...changes } })
test.for([
  { name: 'an error beside authenticated', status: { ...status, error: 'x' }, why: 'carries an error' },
  { name: 'no audiences echoed', status: { ...status, audiences: undefined }, why: 'audience is not echoed' },
  { name: 'an empty list of audiences', status: { ...status, audiences: [] }, why: 'audience is not echoed' },
  { name: 'another audience', status: { ...status, audiences: ['https://api'] }, why: 'audience is not echoed' },
  {
    name: 'an audience that holds ours',
    status: { ...status, audiences: `${AUDIENCE} x` },
    why: 'audience is not echoed',
  },
  { name: 'no user', status: { ...status, user: undefined }, why: 'not a ServiceAccount' },
  { name: 'a person', status: withUser({ username: 'jane' }), why: 'not a ServiceAccount' },
  { name: 'a node', status: withUser({ username: 'system:node:node-a' }), why: 'not a ServiceAccount' },
  { name: 'three parts', status: withUser({ username: 'system:serviceaccount:shop' }), why: 'not a ServiceAccount' },
  {
    name: 'five parts',
    status: withUser({ username: 'system:serviceaccount:shop:cart:x' }),
    why: 'not a ServiceAccount',
  },
  { name: 'an empty name', status: withUser({ username: 'system:serviceaccount:shop:' }), why: 'not a ServiceAccount' },
  { name: 'no UID', status: withUser({ uid: undefined }), why: 'no UID' },
  { name: 'no extra', status: withUser({ extra: undefined }), why: 'credential-id is missing' },
  { name: 'no pod name', status: withExtra({ [`${EXTRA}pod-name`]: undefined }), why: 'pod-name is missing' },
  { name: 'no pod UID', status: withExtra({ [`${EXTRA}pod-uid`]: [] }), why: 'pod-uid is missing' },
  {
    name: 'two pod UIDs',
    status: withExtra({ [`${EXTRA}pod-uid`]: [facts.podUid, 'other'] }),
    why: 'pod-uid is missing',
  },
  {
    name: 'a pod UID that is no list',
    status: withExtra({ [`${EXTRA}pod-uid`]: facts.podUid }),
    why: 'pod-uid is missing',
  },
  { name: 'no node name', status: withExtra({ [`${EXTRA}node-name`]: undefined }), why: 'node-name is missing' },
  { name: 'no node UID', status: withExtra({ [`${EXTRA}node-uid`]: [''] }), why: 'node-uid is missing' },
  {
    name: 'a credential that is no JTI',
    status: withExtra({ [`${EXTRA}credential-id`]: ['X509SHA256=ab'] }),
    why: 'not a JTI',
  },
])('invariant 3: disbelieves $name', ({ status, why }) => {
  expect(() => readTokenReview({ status }, AUDIENCE)).toThrow(
    expect.objectContaining({
      code: 'token_rejected',
      cause: expect.objectContaining({ message: expect.stringContaining(why) }),
    }),
  )
})
