import { IdentityError } from '../../core/runtime/errors.ts'
import type { AccessDecision, ReviewAccess } from '../admin/admin-authorization.ts'
import { ADMIN_GROUP } from '../admin/permissions.ts'
import type { ApiConnection } from './api-connection.ts'
import { parseJson } from './json.ts'

const PATH = '/apis/authorization.k8s.io/v1/subjectaccessreviews'
const MAX_REASON = 300

/** SubjectAccessReview (authorization.k8s.io/v1): what the API server would answer the caller itself. */
export function subjectAccessReview(api: ApiConnection): ReviewAccess {
  return async ({ name, uid, groups, extra }, { verb, resource, namespace }, signal) => {
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        user: name,
        groups,
        ...(uid !== undefined && { uid }),
        // Authorizers other than RBAC may look at these; names of keys are lower-cased by the server itself.
        extra,
        resourceAttributes: {
          group: ADMIN_GROUP,
          version: 'v1alpha1',
          resource,
          verb,
          ...(namespace !== '' && { namespace }),
        },
      },
    }
    const { status, body } = await api.send({ method: 'POST', path: PATH, body: JSON.stringify(review) }, signal)
    if (status !== 201 && status !== 200) {
      throw new IdentityError('kubernetes_unavailable', `the API server answers ${status} to a SubjectAccessReview`, {
        retryAfterMs: 1000,
      })
    }
    return readDecision(parseJson(body))
  }
}

/** Allowed is what says so in as many words: a denial beside it, or an answer of another shape, is none. */
export function readDecision(review: unknown): AccessDecision {
  const { status } = (review ?? {}) as { status?: Readonly<Record<string, unknown>> | null }
  const { allowed, denied, reason, evaluationError } = status ?? {}
  const said = [reason, evaluationError].filter((text) => typeof text === 'string' && text !== '').join('; ')
  return { isAllowed: allowed === true && denied !== true, reason: said.slice(0, MAX_REASON) }
}
