import type { AttestedPod, TokenFacts } from '../../broker/attestation/attested.ts'

/** What a token of `shop`'s `cart` says, with some of it changed. */
export function tokenFacts(changes: Partial<TokenFacts> = {}): TokenFacts {
  return {
    namespace: 'shop',
    serviceAccount: 'cart',
    serviceAccountUid: '11111111-1111-4111-8111-111111111111',
    podName: 'cart-0',
    podUid: '22222222-2222-4222-8222-222222222222',
    nodeName: 'node-a',
    nodeUid: '33333333-3333-4333-8333-333333333333',
    tokenId: '44444444-4444-4444-8444-444444444444',
    ...changes,
  }
}

/** The same, attested. */
export function attestedPod(changes: Partial<AttestedPod> = {}): AttestedPod {
  return { ...tokenFacts(), reviewed: true, ...changes }
}
