import { IdentityError } from '../../core/runtime/errors.ts'
import type { AttestedPod, TokenFacts } from './attested.ts'
import type { TokenPrecheck } from './token-precheck.ts'
import type { TokenReviewer } from './token-reviewer.ts'

/** What vouches for a token. */
export interface TokenAuthorities {
  readonly precheck: TokenPrecheck
  /** `undefined` where the operator lets the JWKS alone vouch (design §3). */
  readonly reviewer: TokenReviewer | undefined
}

/** Every fact, so that a new one cannot be forgotten. */
const FACTS = Object.keys({
  namespace: true,
  serviceAccount: true,
  serviceAccountUid: true,
  podName: true,
  podUid: true,
  nodeName: true,
  nodeUid: true,
  tokenId: true,
} satisfies Record<keyof TokenFacts, true>) as (keyof TokenFacts)[]

/**
 * Believes a token: first what its signature proves, then what the API server says, which must be the same.
 *
 * @param accept looks at what the token says before the API server is asked, and throws if that is of no use.
 * @throws {@link IdentityError} what {@link TokenPrecheck}, `accept` and {@link TokenReviewer} throw; `token_rejected` if
 *   the API server says anything else than the token.
 */
export async function attestToken(
  { precheck, reviewer }: TokenAuthorities,
  { token, accept }: { readonly token: string; readonly accept: (facts: TokenFacts) => void },
  signal: AbortSignal,
): Promise<AttestedPod> {
  const facts = await precheck.check(token, signal)
  accept(facts)
  if (!reviewer) return { ...facts, reviewed: false }

  const reviewed = await reviewer.review(token, signal)
  const different = FACTS.filter((fact) => reviewed[fact] !== facts[fact])
  if (different.length > 0) {
    throw new IdentityError('token_rejected', 'the API server does not vouch for what the token says', {
      cause: new Error(`the review differs in ${different.join(', ')}`),
    })
  }
  return { ...facts, reviewed: true }
}
