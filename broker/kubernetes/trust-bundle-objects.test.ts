import { expect, test } from 'vitest'
import { x509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { type BundleObject, clusterTrustBundlePlace, configMapPlace, verdictOn } from './trust-bundle-objects.ts'

const wanted = (sequence: bigint, domain = 'prod.example') =>
  configMapPlace('agents/trust').objectOf(x509Bundle(TrustDomain.parse(domain), [], { sequence }))

const changed = (object: BundleObject, change: Partial<BundleObject>): BundleObject => ({ ...object, ...change })

test('a ConfigMap has the bundle document and PEM', () => {
  const { collection, name } = configMapPlace('agents/trust')
  expect([collection, name]).toEqual(['/api/v1/namespaces/agents/configmaps', 'trust'])
  expect(wanted(7n)).toMatchObject({
    kind: 'ConfigMap',
    metadata: {
      name: 'trust',
      namespace: 'agents',
      annotations: { 'countersign.dev/trust-domain': 'prod.example', 'countersign.dev/bundle-sequence': '7' },
    },
    data: { 'bundle.json': expect.stringContaining('"spiffe_sequence":7'), 'ca.crt': '' },
  })
})

test("a ClusterTrustBundle's name begins with its signer's", () => {
  const place = clusterTrustBundlePlace('prod.example')
  const bundle = x509Bundle(TrustDomain.parse('prod.example'), [], { sequence: 7n })
  expect(place.objectOf(bundle)).toMatchObject({
    metadata: { name: 'countersign.dev:prod.example:bundle' },
    spec: { signerName: 'countersign.dev/prod.example' },
  })
})

const there = wanted(7n)
const { 'countersign.dev/bundle-sequence': _, ...withoutSequence } = there.metadata.annotations ?? {}

test.for<{ name: string; there: BundleObject | undefined; sequence?: bigint; does: string }>([
  { name: 'nothing', there: undefined, does: 'create' },
  { name: 'the same', there, does: 'keep' },
  {
    name: 'the same, and what others added',
    there: changed(there, { data: { ...there.data, more: '1' } }),
    does: 'keep',
  },
  { name: 'an older one', there, sequence: 8n, does: 'replace' },
  { name: 'a newer one', there, sequence: 6n, does: 'refuse' },
  { name: 'a newer one that has lost its data', there: changed(there, { data: {} }), sequence: 6n, does: 'refuse' },
  { name: 'one whose data somebody changed', there: changed(there, { data: { 'ca.crt': 'mine' } }), does: 'replace' },
  {
    name: 'one without a sequence',
    there: changed(there, { metadata: { ...there.metadata, annotations: withoutSequence } }),
    sequence: 6n,
    does: 'replace',
  },
  { name: "another trust domain's", there: wanted(1n, 'other.example'), does: 'refuse' },
  {
    name: 'an object that somebody made by hand',
    there: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'trust' } },
    does: 'replace',
  },
])('where there is $name it is: $does', ({ there: found, sequence = 7n, does }) => {
  expect(verdictOn(found, wanted(sequence)).do).toBe(does)
})

test('what is replaced keeps its version, and what others added to its metadata', () => {
  const metadata = { ...there.metadata, resourceVersion: '41', labels: { team: 'a' }, annotations: { note: 'b' } }
  expect(verdictOn(changed(there, { metadata }), wanted(8n))).toMatchObject({
    object: {
      metadata: {
        resourceVersion: '41',
        labels: { team: 'a', 'app.kubernetes.io/managed-by': 'countersign-broker' },
        annotations: { note: 'b', 'countersign.dev/bundle-sequence': '8' },
      },
    },
  })
})
