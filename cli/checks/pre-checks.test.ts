import { expect, test } from 'vitest'
import { DEFINITION, DRIVER, forbidden, preFacts, unreachable } from '../../test/fakes/check-facts.ts'
import type { Outcome } from './check.ts'
import type { PreFacts } from './facts.ts'
import { PRE_CHECKS } from './pre-checks.ts'
import { runChecks } from './run-checks.ts'

const ENFORCE = 'pod-security.kubernetes.io/enforce'

test('a cluster with nothing in the way passes every check', () => {
  expect(runChecks(PRE_CHECKS, preFacts()).filter(({ outcome }) => outcome !== 'pass')).toEqual([])
})

const cases: [what: string, id: string, facts: Partial<PreFacts>, outcome: Outcome, says: string][] = [
  [
    'a rule that is missing',
    'install-rights',
    { rights: { value: [{ rule: 'create csidrivers', allowed: false }] } },
    'fail',
    'create csidrivers',
  ],
  [
    'a policy against inline volumes',
    'inline-volumes',
    { inlineVolume: { value: 'denied by policy no-csi' } },
    'fail',
    'denied by policy no-csi',
  ],
  [
    'no right to ask by dry run',
    'inline-volumes',
    { inlineVolume: forbidden('cannot create resource "pods"') },
    'warn',
    'cannot create',
  ],
  ['a CSIDriver of ours', 'csi-driver-name', { csiDriver: { value: DRIVER } }, 'pass', 'ours'],
  [
    'a CSIDriver of somebody',
    'csi-driver-name',
    { csiDriver: { value: { ...DRIVER, labels: {} } } },
    'fail',
    'kubectl get csidriver',
  ],
  [
    'CRDs of ours',
    'crd-names',
    { crds: { value: [{ ...DEFINITION, name: 'a.countersign.dev', labels: DRIVER.labels }] } },
    'pass',
    'ours',
  ],
  [
    'CRDs of somebody',
    'crd-names',
    { crds: { value: [{ ...DEFINITION, name: 'a.countersign.dev' }] } },
    'warn',
    'a.countersign.dev',
  ],
  [
    'a namespace where no agent may run',
    'namespaces',
    { namespaces: { value: [{ name: 'countersign-agent', labels: { [ENFORCE]: 'baseline' } }] } },
    'fail',
    'kubectl label namespace countersign-agent',
  ],
  [
    'a namespace without a label',
    'namespaces',
    { namespaces: { value: [{ name: 'countersign-agent', labels: {} }] } },
    'warn',
    'no Pod Security label',
  ],
  [
    'namespaces as they should be',
    'namespaces',
    {
      namespaces: {
        value: [
          { name: 'countersign-agent', labels: { [ENFORCE]: 'privileged' } },
          { name: 'countersign-system', labels: { [ENFORCE]: 'restricted' } },
        ],
      },
    },
    'pass',
    'countersign-agent and countersign-system',
  ],
  [
    'a StorageClass that is the default',
    'storage-class',
    {
      storageClasses: {
        value: [
          { name: 'slow', isDefault: false },
          { name: 'fast', isDefault: true },
        ],
      },
    },
    'pass',
    'fast is the default',
  ],
  ['no StorageClass', 'storage-class', { storageClasses: { value: [] } }, 'warn', 'persistence.existingClaim'],
  [
    'StorageClasses of which none is the default',
    'storage-class',
    { storageClasses: { value: [{ name: 'fast', isDefault: false }] } },
    'warn',
    'none is the default: there is fast","remedy":"Name one in persistence.storageClass',
  ],
  [
    'StorageClasses that may not be listed',
    'storage-class',
    { storageClasses: forbidden('cannot list resource "storageclasses"') },
    'warn',
    'cannot list',
  ],
  [
    'no ClusterTrustBundles',
    'cluster-trust-bundles',
    { clusterTrustBundles: { value: false } },
    'pass',
    'ConfigMap alone',
  ],
  [
    'an API server that does not answer',
    'cluster-trust-bundles',
    { clusterTrustBundles: unreachable('x') },
    'skip',
    'not known',
  ],
]

test.for(cases)('%s: %s', ([, id, facts, outcome, says]) => {
  const result = runChecks(PRE_CHECKS, preFacts(facts)).find((each) => each.id === id)
  expect(result?.outcome).toBe(outcome)
  expect(JSON.stringify(result)).toContain(says)
  if (outcome === 'fail') expect(result?.remedy).toBeTruthy()
})
