/** What somebody may do, as a Role or ClusterRole with its binding says. */
export interface Grant {
  /** `system:serviceaccount:shop:cart`, a SPIFFE ID, or a group. */
  readonly to: string
  readonly verb: string
  readonly resource: string
  readonly group?: string
  /** Without it: of a ClusterRoleBinding, which holds in all namespaces. */
  readonly namespace?: string
}

/** `spec` of a SubjectAccessReview. */
export interface AccessReviewSpec {
  readonly user?: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
  readonly resourceAttributes?: {
    readonly group?: string
    readonly resource?: string
    readonly verb?: string
    readonly namespace?: string
  }
}

/** `status` of it. */
export interface AccessReviewStatus {
  allowed: boolean
  denied?: boolean
  reason?: string
}

/** Answers SubjectAccessReviews as RBAC does: what nothing grants is not allowed. */
export class FakeAuthorizer {
  readonly grants: Grant[] = []
  readonly reviews: AccessReviewSpec[] = []

  review(spec: AccessReviewSpec): AccessReviewStatus {
    this.reviews.push(spec)
    const { user = '', groups = [], resourceAttributes: asked = {} } = spec
    const granted = this.grants.find(
      ({ to, verb, resource, group = 'countersign.dev', namespace }) =>
        (to === user || groups.includes(to)) &&
        verb === asked.verb &&
        resource === asked.resource &&
        group === asked.group &&
        (namespace === undefined || namespace === asked.namespace),
    )
    return granted ? { allowed: true, reason: `RBAC: allowed to ${granted.to}` } : { allowed: false }
  }
}
