import { IdentityError } from '../../core/runtime/errors.ts'
import type { TokenFacts } from './attested.ts'

/** The longest name of a Kubernetes object (RFC 1123 subdomain), and more than a UID or an external signer's `jti`. */
const MAX_LENGTH = 253

/**
 * What the claims of a pod-bound token say (the private claims of `kubernetes.io`, Kubernetes 1.32 and newer).
 *
 * @throws {@link IdentityError} `token_unbound` without pod and node, name and UID both; `token_malformed` if `sub` or
 *   `jti` are missing or `sub` contradicts the private claims.
 */
export function tokenFactsOf(claims: Readonly<Record<string, unknown>>): TokenFacts {
  const bound = objectIn(claims, 'kubernetes.io')
  const namespace = textIn(bound, 'namespace')
  const serviceAccount = objectIn(bound, 'serviceaccount')
  const pod = objectIn(bound, 'pod')
  const node = objectIn(bound, 'node')
  if (!pod || !node || !serviceAccount || !namespace) return unbound()

  const [saName, saUid] = [textIn(serviceAccount, 'name'), textIn(serviceAccount, 'uid')]
  const [podName, podUid] = [textIn(pod, 'name'), textIn(pod, 'uid')]
  const [nodeName, nodeUid] = [textIn(node, 'name'), textIn(node, 'uid')]
  if (!saName || !saUid || !podName || !podUid || !nodeName || !nodeUid) return unbound()

  const tokenId = textIn(claims, 'jti')
  if (!tokenId) throw new IdentityError('token_malformed', 'the token has no jti')
  if (claims['sub'] !== `system:serviceaccount:${namespace}:${saName}`) {
    throw new IdentityError('token_malformed', "the token's sub is not the ServiceAccount that it is bound to")
  }
  return {
    namespace,
    serviceAccount: saName,
    serviceAccountUid: saUid,
    podName,
    podUid,
    nodeName,
    nodeUid,
    tokenId,
  }
}

function objectIn(parent: Readonly<Record<string, unknown>> | undefined, name: string) {
  const value = parent?.[name]
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
}

function textIn(parent: Readonly<Record<string, unknown>> | undefined, name: string): string | undefined {
  const value = parent?.[name]
  return typeof value === 'string' && value !== '' && value.length <= MAX_LENGTH ? value : undefined
}

function unbound(): never {
  throw new IdentityError('token_unbound', 'the token is not bound to a pod on a node, by name and UID')
}
