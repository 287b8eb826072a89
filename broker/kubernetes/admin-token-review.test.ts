import { expect, test } from 'vitest'
import { readAdminUser } from './admin-token-review.ts'

const AUDIENCE = 'countersign.dev/prod.example/admin'
const user = {
  username: 'system:serviceaccount:ops:operator',
  uid: 'uid-1',
  groups: ['system:serviceaccounts', 'system:authenticated'],
  extra: { 'authentication.kubernetes.io/credential-id': ['JTI=1'] },
}
const status = { authenticated: true, audiences: [AUDIENCE], user }

test('reads all that the API server says of the caller', () => {
  const { username: name, ...rest } = user
  expect(readAdminUser({ status }, AUDIENCE)).toEqual({ name, ...rest })
  expect(readAdminUser({ status: { ...status, user: { username: name } } }, AUDIENCE)).toEqual({
    name,
    uid: undefined,
    groups: [],
    extra: {},
  })
})

test.for([
  null,
  {},
  { status: null },
  { status: { ...status, authenticated: false } },
  { status: { authenticated: 'true' } },
])('%j is not authenticated', (review) => expect(readAdminUser(review, AUDIENCE)).toBeUndefined())

const withUser = (changes: object) => ({ ...status, user: { ...user, ...changes } })
test.for([
  { name: 'an error beside authenticated', status: { ...status, error: 'x' } },
  { name: 'no audience', status: { ...status, audiences: undefined } },
  { name: 'another audience', status: { ...status, audiences: ['countersign.dev/prod.example'] } },
  { name: 'an audience that holds ours', status: { ...status, audiences: `${AUDIENCE} x` } },
  { name: 'no user', status: { ...status, user: undefined } },
  { name: 'an empty name', status: withUser({ username: '' }) },
  { name: 'groups that are no list', status: withUser({ groups: 'system:masters' }) },
  { name: 'a group that is no text', status: withUser({ groups: [1] }) },
  { name: 'more groups than anybody has', status: withUser({ groups: Array.from({ length: 1001 }, String) }) },
  { name: 'extra that is a list', status: withUser({ extra: [] }) },
  { name: 'extra of texts that are no lists', status: withUser({ extra: { scope: 'a' } }) },
])('invariant 3: disbelieves $name', ({ status: said }) => {
  expect(() => readAdminUser({ status: said }, AUDIENCE)).toThrow(expect.objectContaining({ code: 'token_rejected' }))
})
