import type { TokenFacts } from '../attestation/attested.ts'

export type Labels = ReadonlyMap<string, string>

/** Which pod is meant: the name may have passed on to another one, the UID does not. */
export interface PodName {
  readonly namespace: string
  readonly podName: string
  readonly podUid: string
}

/** What a template can select by and name, labels apart. */
export type PodDescription = Pick<TokenFacts, 'namespace' | 'serviceAccount' | 'podName' | 'podUid' | 'nodeName'>

/**
 * Facts that no token carries, asked for only where a template needs them. Whoever may patch pods may write labels; the
 * threat model says so.
 */
export interface PodFacts {
  /** @throws `IdentityError` `token_rejected` if there is no pod of that name and UID any more; `kubernetes_unavailable`. */
  podLabels(pod: PodName, signal: AbortSignal): Promise<Labels>
  namespaceLabels(namespace: string, signal: AbortSignal): Promise<Labels>
}
