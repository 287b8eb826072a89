import { encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { bundleToPem, type X509Bundle } from '../../core/spiffe/bundle.ts'

/** Written beside the bundle, so that a broker that is behind never puts an older one in the place of a newer one. */
const SEQUENCE = 'countersign.dev/bundle-sequence'
const TRUST_DOMAIN = 'countersign.dev/trust-domain'
const LABELS = { 'app.kubernetes.io/name': 'countersign', 'app.kubernetes.io/managed-by': 'countersign-broker' }

/** An object of Kubernetes that holds the bundle, as far as we look at it. */
export interface BundleObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly annotations?: Readonly<Record<string, string>>
    readonly labels?: Readonly<Record<string, string>>
    readonly resourceVersion?: string
  }
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: { readonly signerName: string; readonly trustBundle: string }
}

/** Where a bundle is published: an object by its name, and what it then holds. */
export interface BundlePlace {
  /** For people: `ConfigMap countersign-agent/countersign-trust-bundle`. */
  readonly title: string
  /** The path of all objects of its kind. */
  readonly collection: string
  readonly name: string
  readonly objectOf: (bundle: X509Bundle) => BundleObject
}

/** `bundle.json` for agents and whoever knows SPIFFE bundle documents, `ca.crt` for the rest. */
export function configMapPlace(reference: string): BundlePlace {
  const [namespace = '', name = ''] = reference.split('/')
  return {
    title: `ConfigMap ${reference}`,
    collection: `/api/v1/namespaces/${namespace}/configmaps`,
    name,
    objectOf: (x509) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace, labels: LABELS, annotations: annotationsOf(x509) },
      data: { 'bundle.json': encodeBundleDocument({ x509, jwtAuthorities: [] }), 'ca.crt': bundleToPem(x509) },
    }),
  }
}

/** For pods that trust it without our driver: certificates alone. Its name must begin with the signer's (KEP-3257). */
export function clusterTrustBundlePlace(trustDomain: string): BundlePlace {
  const signerName = `countersign.dev/${trustDomain}`
  const name = `countersign.dev:${trustDomain}:bundle`
  return {
    title: `ClusterTrustBundle ${name}`,
    collection: '/apis/certificates.k8s.io/v1/clustertrustbundles',
    name,
    objectOf: (x509) => ({
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'ClusterTrustBundle',
      metadata: { name, labels: LABELS, annotations: annotationsOf(x509) },
      spec: { signerName, trustBundle: bundleToPem(x509) },
    }),
  }
}

function annotationsOf({ trustDomain, sequence }: X509Bundle): Record<string, string> {
  return { [TRUST_DOMAIN]: trustDomain.toString(), [SEQUENCE]: sequence.toString() }
}

/** What to do about an object that is there already, or is not. */
export type Verdict =
  | { readonly do: 'create' | 'replace'; readonly object: BundleObject }
  | { readonly do: 'keep' }
  | { readonly do: 'refuse'; readonly because: string }

/** Whether `wanted` takes the place of what is `there`; what others added to the object stays. */
export function verdictOn(there: BundleObject | undefined, wanted: BundleObject): Verdict {
  if (!there) return { do: 'create', object: wanted }
  const { annotations = {}, labels = {} } = there.metadata
  const [domain, sequence] = [annotations[TRUST_DOMAIN], annotations[SEQUENCE]]
  const ours = wanted.metadata.annotations ?? {}
  if (domain !== undefined && domain !== ours[TRUST_DOMAIN]) {
    return { do: 'refuse', because: `it holds the bundle of another trust domain, ${domain.slice(0, 255)}` }
  }
  if (sequence !== undefined && /^\d{1,20}$/.test(sequence) && BigInt(sequence) > BigInt(ours[SEQUENCE] ?? 0)) {
    return { do: 'refuse', because: `it holds a newer bundle (${sequence}) than this broker's (${ours[SEQUENCE]})` }
  }
  if (holds(there, wanted)) return { do: 'keep' }
  return {
    do: 'replace',
    object: {
      ...wanted,
      metadata: {
        ...there.metadata,
        annotations: { ...annotations, ...ours },
        labels: { ...labels, ...wanted.metadata.labels },
      },
    },
  }
}

function holds(there: BundleObject, wanted: BundleObject): boolean {
  return (
    containsAll(there.metadata.annotations, wanted.metadata.annotations) &&
    containsAll(there.data, wanted.data) &&
    containsAll(there.spec, wanted.spec)
  )
}

function containsAll(there: object = {}, wanted: object = {}): boolean {
  return Object.entries(wanted).every(([key, value]) => (there as Record<string, unknown>)[key] === value)
}
