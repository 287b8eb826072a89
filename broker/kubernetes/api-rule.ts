/** What RBAC has to allow for a request to be answered. */
export interface ApiRule {
  readonly verb: string
  /** Empty for the core group. */
  readonly group: string
  /** With its subresource: `identitytemplates/status`. For what is no resource, its path. */
  readonly resource: string
  /** `undefined`: of the whole cluster. */
  readonly namespace: string | undefined
}

const RESOURCE_PATH =
  /^\/(?:api\/[^/]+|apis\/(?<group>[^/]+)\/[^/]+)(?:\/namespaces\/(?<namespace>[^/]+)(?=\/[^/]+))?\/(?<resource>[^/]+)(?:\/(?<name>[^/]+)(?:\/(?<subresource>[^/]+))?)?$/
const ON_ONE = { GET: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as const
const ON_ALL = { ...ON_ONE, GET: 'list', DELETE: 'deletecollection' } as const

/** The rule that a request needs, as the API server's own reading of it (RequestInfo) has it. */
export function ruleOf(method: keyof typeof ON_ONE, pathAndQuery: string): ApiRule {
  const [path = '', query = ''] = pathAndQuery.split('?', 2)
  const { group = '', namespace, resource, name, subresource } = RESOURCE_PATH.exec(path)?.groups ?? {}
  if (resource === undefined) return { verb: method.toLowerCase(), group: '', resource: path, namespace: undefined }
  const watches = method === 'GET' && /(?:^|&)watch=(?:true|1)(?:&|$)/.test(query)
  return {
    verb: watches ? 'watch' : (name === undefined ? ON_ALL : ON_ONE)[method],
    group,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    namespace: namespace === undefined ? undefined : decodeURIComponent(namespace),
  }
}

/** For people: `list pods in all namespaces`, `patch identitytemplates/status.countersign.dev`. */
export function nameOfRule({ verb, group, resource, namespace }: ApiRule): string {
  const where = namespace === undefined ? '' : ` in namespace ${namespace}`
  return `${verb} ${group === '' ? resource : `${resource} (${group})`}${where}`
}

/** The rule as it stands in a Role or ClusterRole. */
export function yamlOfRule({ verb, group, resource }: ApiRule): string {
  if (resource.startsWith('/')) return `{ nonResourceURLs: ["${resource}"], verbs: ["${verb}"] }`
  return `{ apiGroups: ["${group}"], resources: ["${resource}"], verbs: ["${verb}"] }`
}
