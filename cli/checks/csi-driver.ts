import type { CsiDriverFact } from './facts.ts'

/** Since 1.35 kubelet can hand tokens over where they are not logged (KEP-5538). */
const TOKENS_IN_SECRETS_SINCE = 35

/** What is wrong with the CSIDriver object, each in half a sentence; nothing if it is exactly right. */
export function csiDriverFaults(
  driver: CsiDriverFact,
  { audience, serverMinor }: { readonly audience: string | undefined; readonly serverMinor: number | undefined },
): { readonly wrong: readonly string[]; readonly unwise: readonly string[] } {
  const wrong: string[] = []
  const unwise: string[] = []
  if (!driver.volumeLifecycleModes.includes('Ephemeral'))
    wrong.push('volumeLifecycleModes lacks Ephemeral: kubelet refuses inline volumes')
  if (driver.attachRequired) wrong.push('attachRequired is true: pods wait for an attachment that nobody makes')
  if (!driver.podInfoOnMount) wrong.push('podInfoOnMount is not true: the agent is not told whose volume it is')
  if (!driver.requiresRepublish)
    wrong.push('requiresRepublish is not true: the agent gets no fresh tokens, and renewals stop')
  if (driver.tokenAudiences.length === 0) wrong.push('tokenRequests is empty: the agent gets no token to ask with')
  else if (audience !== undefined && !driver.tokenAudiences.includes(audience))
    wrong.push(
      `tokenRequests asks for ${driver.tokenAudiences.map((name) => `'${name}'`).join(', ')} and not for ${audience}`,
    )
  if (driver.tokenAudiences.includes(''))
    unwise.push(
      'tokenRequests has the empty audience: the agent is handed tokens for the API server that it has no use for',
    )
  if (serverMinor !== undefined && serverMinor >= TOKENS_IN_SECRETS_SINCE && !driver.tokenInSecrets)
    unwise.push('serviceAccountTokenInSecrets is not true: tokens travel where other drivers have logged them')
  return { wrong, unwise }
}
