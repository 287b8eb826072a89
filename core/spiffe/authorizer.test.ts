import { expect, test } from 'vitest'
import { authorizeAny, authorizeId, authorizeMemberOf, authorizeOneOf } from './authorizer.ts'
import { SpiffeId } from './spiffe-id.ts'
import { TrustDomain } from './trust-domain.ts'

const cart = SpiffeId.parse('spiffe://prod.example/cart')
const peers = ['spiffe://prod.example/cart', 'spiffe://prod.example/Cart', 'spiffe://prod.example.evil/cart']

test.for([
  { name: 'any', authorizer: authorizeAny(), allowed: [true, true, true] },
  { name: 'an ID', authorizer: authorizeId(cart), allowed: [true, false, false] },
  { name: 'one of several', authorizer: authorizeOneOf(cart), allowed: [true, false, false] },
  { name: 'one of none', authorizer: authorizeOneOf(), allowed: [false, false, false] },
  // VX-10: the third begins alike.
  { name: 'a member', authorizer: authorizeMemberOf(TrustDomain.parse('prod.example')), allowed: [true, true, false] },
])('invariant 5: $name', ({ authorizer, allowed }) => {
  expect(peers.map((peer) => authorizer(SpiffeId.parse(peer)))).toEqual(allowed)
})
