/** What a token says and the API server can vouch for: the pod it is bound to, and where that runs. */
export interface TokenFacts {
  readonly namespace: string
  readonly serviceAccount: string
  readonly serviceAccountUid: string
  readonly podName: string
  readonly podUid: string
  readonly nodeName: string
  readonly nodeUid: string
  /** The token's `jti`, by which audit records can name the token without holding it. */
  readonly tokenId: string
}

/** What the cluster vouches for about the pod that a token is bound to. */
export interface AttestedPod extends TokenFacts {
  /** False where the operator lets the JWKS alone vouch (design §3); every record then says so. */
  readonly reviewed: boolean
}

/** The same about an agent's own pod, and so about its node. */
export interface AttestedNode extends AttestedPod {}
