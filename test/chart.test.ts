import { globSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { AGENT_METRICS } from '../agent/metrics.ts'
import { BROKER_METRICS } from '../broker/metrics.ts'
import { type Manifest, manifestsIn } from './chart/helm.ts'

/*
 * What can be said of the chart without Helm: by `deploy/manifests`, which `test/chart.platform.test.ts` holds to it.
 */
const objects = globSync('deploy/manifests/*.yaml').flatMap((file) => manifestsIn(readFileSync(file, 'utf8')))

interface Rule {
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
  readonly verbs: readonly string[]
}
interface Container {
  readonly name: string
  readonly securityContext?: Record<string, unknown>
  readonly startupProbe?: unknown
  readonly readinessProbe?: unknown
  readonly livenessProbe?: unknown
  readonly resources: { readonly limits?: Record<string, string> }
}
interface PodSpec {
  readonly containers: readonly Container[]
  readonly automountServiceAccountToken: boolean
  readonly securityContext?: Record<string, unknown>
}

const ofKind = (kind: string) => objects.filter((object) => object.kind === kind)
const podSpecs = objects.flatMap((object) => {
  const { template } = (object['spec'] ?? {}) as { template?: { spec: PodSpec } }
  return template ? [{ title: `${object.kind} ${object.metadata.name}`, spec: template.spec }] : []
})

/** `verb resource.group[/name]`, one line for each thing that is allowed. */
function allowed(role: Manifest): string[] {
  const where = role.metadata.namespace === undefined ? '' : ` in ${role.metadata.namespace}`
  return (role['rules'] as Rule[]).flatMap(
    ({ apiGroups = [''], resources = [], resourceNames = [''], nonResourceURLs = [], verbs }) => {
      const things = apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          resourceNames.map((name) => `${resource}${group && `.${group}`}${name && ` ${name}`}${where}`),
        ),
      )
      return [...things, ...nonResourceURLs].flatMap((thing) => verbs.map((verb) => `${verb} ${thing}`))
    },
  )
}

describe('RBAC', () => {
  const bindings = [...ofKind('ClusterRoleBinding'), ...ofKind('RoleBinding')]
  const subjectsOf = (binding: Manifest) => (binding['subjects'] as { name: string }[]).map(({ name }) => name)

  test('an agent may do nothing', () => {
    expect(bindings.filter((binding) => subjectsOf(binding).includes('countersign-agent'))).toEqual([])
    const account = ofKind('ServiceAccount').find(({ metadata }) => metadata.name === 'countersign-agent')
    expect(account?.['automountServiceAccountToken']).toBe(false)
  })

  test('a broker may do what it does, and nothing else', () => {
    const roles = [...ofKind('ClusterRole'), ...ofKind('Role')].filter(
      ({ metadata }) => metadata.name === 'countersign-broker',
    )
    expect(roles.flatMap(allowed).sort()).toEqual([
      'attest signers.certificates.k8s.io countersign.dev/prod.example',
      'create clustertrustbundles.certificates.k8s.io',
      'create configmaps in countersign-agent',
      'create secrets in countersign-system',
      'create subjectaccessreviews.authorization.k8s.io',
      'create tokenreviews.authentication.k8s.io',
      'get /.well-known/openid-configuration',
      'get /openid/v1/jwks',
      'get clustertrustbundles.certificates.k8s.io countersign.dev:prod.example:bundle',
      'get configmaps countersign-trust-bundle in countersign-agent',
      'get namespaces',
      'get pods',
      'get secrets countersign-wrapping-key in countersign-system',
      'get serviceaccounts',
      'list identitytemplates.countersign.dev',
      'list namespaces',
      'list pods',
      'patch identitytemplates/status.countersign.dev',
      'update clustertrustbundles.certificates.k8s.io countersign.dev:prod.example:bundle',
      'update configmaps countersign-trust-bundle in countersign-agent',
      'watch identitytemplates.countersign.dev',
      'watch namespaces',
      'watch pods',
    ])
  })

  test('nobody has a wildcard, or is bound but the broker and the command', () => {
    for (const role of [...ofKind('ClusterRole'), ...ofKind('Role')]) expect(allowed(role).join()).not.toContain('*')
    expect(bindings.map((binding) => [binding.metadata.name, ...subjectsOf(binding)])).toEqual([
      ['countersign-broker', 'countersign-broker'],
      ['countersign-cli', 'countersign-cli'],
      ['countersign-broker', 'countersign-broker'],
      ['countersign-broker', 'countersign-broker'],
    ])
  })
})

describe('pods', () => {
  test('the agent alone is privileged', () => {
    const privileged = podSpecs.filter(({ spec }) =>
      spec.containers.some(({ securityContext }) => securityContext?.['privileged'] === true),
    )
    expect(privileged.map(({ title }) => title)).toEqual(['DaemonSet countersign-agent'])
  })

  test.for(podSpecs)('$title: a root that nobody writes, probes, a limit of memory', ({ spec }) => {
    for (const container of spec.containers) {
      expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true })
      expect(container.resources.limits).toHaveProperty('memory')
      for (const probe of [container.startupProbe, container.readinessProbe, container.livenessProbe]) {
        expect(probe).toMatchObject({ httpGet: { port: 'operations' } })
      }
    }
  })

  test('the broker keeps to Pod Security `restricted`, and so does its namespace', () => {
    const { spec } = podSpecs.find(({ title }) => title === 'Deployment countersign-broker') ?? {}
    expect(spec?.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    expect(spec?.containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    const levels = ofKind('Namespace').map(({ metadata }) => [
      metadata.name,
      metadata.labels?.['pod-security.kubernetes.io/enforce'],
    ])
    expect(Object.fromEntries(levels)).toEqual({
      'countersign-agent': 'privileged',
      'countersign-system': 'restricted',
    })
  })

  test('every pod is under a NetworkPolicy of both directions', () => {
    expect(
      ofKind('NetworkPolicy').map((policy) => [
        policy.metadata.name,
        (policy['spec'] as { policyTypes: string[] }).policyTypes,
      ]),
    ).toEqual([
      ['countersign-agent', ['Ingress', 'Egress']],
      ['countersign-broker', ['Ingress', 'Egress']],
    ])
  })
})

describe('alerts', () => {
  interface Alert {
    readonly alert: string
    readonly expr: string
    readonly annotations: Record<string, string>
  }
  const { groups } = parse(readFileSync('deploy/chart/files/alerts.yaml', 'utf8')) as {
    groups: readonly { readonly rules: readonly Alert[] }[]
  }
  const alerts = groups.flatMap(({ rules }) => rules)
  const metrics = { ...BROKER_METRICS, ...AGENT_METRICS }

  test.for(alerts)('$alert is about metrics that there are, and says what to do', ({ expr, annotations }) => {
    const names = expr.match(/countersign_[a-z_]+/g) ?? []
    expect(names.length).toBeGreaterThan(0)
    for (const name of names) expect(metrics).toHaveProperty(name)
    expect(Object.keys(annotations)).toEqual(['summary', 'action'])
  })
})

test('every value of the chart is in its schema, and the schema has no other', () => {
  interface Schema {
    readonly properties?: Record<string, Schema>
    readonly $ref?: string
  }
  const schema = JSON.parse(readFileSync('deploy/chart/values.schema.json', 'utf8')) as Schema
  const values = parse(readFileSync('deploy/chart/values.yaml', 'utf8')) as object
  const inSchema = (at: Schema, prefix = ''): string[] =>
    Object.entries(at.properties ?? {}).flatMap(([name, property]) =>
      property.properties ? inSchema(property, `${prefix}${name}.`) : [`${prefix}${name}`],
    )
  const paths = inSchema(schema).filter((path) => path !== 'global')
  const reached = (path: string) =>
    path.split('.').every((_, index, parts) => {
      const parent = parts
        .slice(0, index)
        .reduce<object>((at, part) => (at as Record<string, object>)[part] ?? {}, values)
      return Object.hasOwn(parent, parts[index] ?? '')
    })
  expect(paths.filter((path) => !reached(path))).toEqual([])
})

test('docs/chart-values.md has a meaning for every value', () => {
  const rows = readFileSync('docs/chart-values.md', 'utf8').matchAll(/^\| `([^`]+)` +\|[^|]*\| (.*?) *\|$/gm)
  const without = Array.from(rows, ([, path = '', meaning]) => (meaning === '' ? path : '')).filter(Boolean)
  // A switch is told by the section that it switches.
  expect(without.filter((path) => !path.endsWith('.enabled'))).toEqual([])
})
