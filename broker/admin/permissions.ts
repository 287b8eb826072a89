import { IdentityError } from '../../core/runtime/errors.ts'
import type { AdminService } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { Handlers } from '../../proto/grpc-server.ts'

export type AdminMethod = keyof typeof AdminService.method
export type AdminRequests = { [M in AdminMethod]: Parameters<Handlers<typeof AdminService>[M]>[0] }

/** The API group that callers have rules for. */
export const ADMIN_GROUP = 'countersign.dev'

interface Permission<Request> {
  readonly verb: 'get' | 'list'
  readonly resource: string
  /** Where the rule must hold; empty: in all namespaces. */
  readonly namespaceOf?: (request: Request) => string
  /** What the call is about, for the audit: names and numbers, as short as they come. */
  readonly targetOf?: (request: Request) => string
}

/** What a caller must be allowed to do for each method: the one table. docs/admin-api.md is held to it by a test. */
export const PERMISSIONS: { readonly [M in AdminMethod]: Permission<AdminRequests[M]> } = {
  getStatus: { verb: 'get', resource: 'brokerstatuses' },
  listIdentities: {
    verb: 'list',
    resource: 'workloadidentities',
    namespaceOf: ({ namespace }) => namespace,
    targetOf: ({ spiffeId, spiffeIdPrefix, serviceAccount, podUid }) =>
      spiffeId || spiffeIdPrefix || serviceAccount || podUid,
  },
  getIdentity: {
    verb: 'get',
    resource: 'workloadidentities',
    namespaceOf: ({ namespace }) => namespace,
    targetOf: ({ serialNumber }) => serialNumber,
  },
  listAuthorities: { verb: 'list', resource: 'signingauthorities' },
  listAgents: { verb: 'list', resource: 'nodeagents', targetOf: ({ nodeName }) => nodeName },
  getBundle: { verb: 'get', resource: 'trustbundles' },
  listTemplates: { verb: 'list', resource: 'identitytemplates' },
  explainPod: {
    verb: 'get',
    resource: 'podexplanations',
    namespaceOf: ({ namespace }) => namespace,
    targetOf: ({ name }) => name,
  },
  listAuditRecords: {
    verb: 'list',
    resource: 'auditrecords',
    namespaceOf: ({ namespace }) => namespace,
    targetOf: ({ podName, podUid, serialNumber, spiffeId }) => podName || podUid || serialNumber || spiffeId,
  },
}

/** What is asked of the API server for one call. */
export interface AccessRule {
  readonly verb: string
  readonly resource: string
  /** Empty: in all namespaces. */
  readonly namespace: string
}

/** RFC 1123 label: what Kubernetes allows as the name of a namespace. */
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * The rule by which a call is judged. It goes to the API server and into the audit before it is known whether its caller
 * may ask anything at all: so what cannot be a namespace is refused first, or anybody could have us write what he likes.
 *
 * @throws {@link IdentityError} `request_invalid`.
 */
export function ruleOf<M extends AdminMethod>(method: M, request: AdminRequests[M]): AccessRule {
  const { verb, resource, namespaceOf } = PERMISSIONS[method] as Permission<AdminRequests[M]>
  const namespace = namespaceOf?.(request) ?? ''
  if (namespace !== '' && !NAMESPACE.test(namespace))
    throw new IdentityError('request_invalid', 'namespace is not a lower-case RFC 1123 label')
  return { verb, resource, namespace }
}

/** At most so much of what a caller wrote is put down. */
const MAX_TARGET = 253

export function targetOf<M extends AdminMethod>(method: M, request: AdminRequests[M]): string {
  return ((PERMISSIONS[method] as Permission<AdminRequests[M]>).targetOf?.(request) ?? '').slice(0, MAX_TARGET)
}

/** In the words of a Role: `list workloadidentities.countersign.dev in namespace shop`. */
export function ruleText({ verb, resource, namespace }: AccessRule): string {
  return `${verb} ${resource}.${ADMIN_GROUP} ${namespace === '' ? 'in all namespaces' : `in namespace ${namespace}`}`
}
