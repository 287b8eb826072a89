import { AGENT_NAMESPACE, API_GROUP, CSI_DRIVER, SYSTEM_NAMESPACE } from '../installation/names.ts'
import { type Check, count, fail, judged, pass, skip, valueOf, warn } from './check.ts'
import type { NamespaceFact, PreFacts } from './facts.ts'
import { KUBERNETES_CHECKS } from './kubernetes-checks.ts'
import { NODE_CHECKS } from './node-checks.ts'
import { judgeStorageClasses } from './storage.ts'

const ENFORCE = 'pod-security.kubernetes.io/enforce'
const NAME_LABEL = 'app.kubernetes.io/name'

/** What `countersign check --pre` looks at, in this order. */
export const PRE_CHECKS: readonly Check<PreFacts>[] = [
  ...KUBERNETES_CHECKS,
  ...NODE_CHECKS,
  {
    id: 'install-rights',
    category: 'rights',
    title: 'you may make what an installation consists of',
    about:
      'Each kind of object is asked about with a SelfSubjectAccessReview, so that an installation does not stop halfway.',
    run: ({ rights }) =>
      judged(rights, (all) => {
        const missing = all.filter(({ allowed }) => !allowed)
        if (missing.length === 0) return pass(`${count(all.length, 'kind')} of object`)
        return fail(
          `${count(missing.length, 'rule')} of ${all.length} ${missing.length === 1 ? 'is' : 'are'} missing`,
          'Install as somebody who has these rules, mostly cluster-admin.',
          missing.map(({ rule }) => ({ subject: rule, reason: 'not allowed' })),
        )
      }),
  },
  {
    id: 'inline-volumes',
    category: 'admission',
    title: 'nothing refuses pods with CSI inline volumes',
    about:
      'A pod with such a volume is made with dry run, so that every admission plugin, webhook and policy of the cluster has its say and nothing stays.',
    run: ({ inlineVolume }) =>
      judged(inlineVolume, (refusal) =>
        refusal === undefined
          ? pass('a pod with one was accepted (dry run)')
          : fail(refusal, `Allow inline volumes of the driver ${CSI_DRIVER} in the policy that the message names.`),
      ),
  },
  {
    id: 'csi-driver-name',
    category: 'names',
    title: `the name ${CSI_DRIVER} is free, or ours`,
    about:
      'A CSIDriver object of that name that somebody else made would be overwritten, or make the installation fail.',
    run: ({ csiDriver }) =>
      judged(csiDriver, (driver) => {
        if (!driver) return pass('free')
        if (driver.labels[NAME_LABEL] === 'countersign') return pass('ours')
        return fail(
          `there is a CSIDriver ${CSI_DRIVER} that does not bear the label ${NAME_LABEL}=countersign`,
          `See whose it is (kubectl get csidriver ${CSI_DRIVER} -o yaml) and delete it, or let Helm adopt it (helm install --take-ownership).`,
        )
      }),
  },
  {
    id: 'crd-names',
    category: 'names',
    title: `the API group ${API_GROUP} is free, or ours`,
    about: 'CustomResourceDefinitions of that group that somebody else made would be overwritten.',
    run: ({ crds }) =>
      judged(crds, (all) => {
        const foreign = all.filter(({ labels }) => labels[NAME_LABEL] !== 'countersign')
        if (all.length === 0) return pass('free')
        if (foreign.length === 0) return pass(`ours: ${count(all.length, 'definition')}`)
        return warn(
          `${count(foreign.length, 'definition')} without the label ${NAME_LABEL}=countersign`,
          'See whose they are (kubectl get crd -o yaml); those of an older installation are kept on purpose, and may stay.',
          foreign.map(({ name }) => ({ subject: name, reason: 'not labelled as ours' })),
        )
      }),
  },
  {
    id: 'namespaces',
    category: 'names',
    title: 'the namespaces, if they exist, allow what will run in them',
    about: `Agents are privileged, as every CSI driver that mounts is; the broker runs under the profile restricted.`,
    run: ({ namespaces }) => judged(namespaces, judgeNamespaces),
  },
  {
    id: 'storage-class',
    category: 'features',
    title: 'a StorageClass is there for the broker’s volume',
    about:
      'The ledger lies on a PersistentVolumeClaim. Unless persistence.storageClass or persistence.existingClaim says otherwise, it is of the cluster’s default StorageClass, and the broker waits for it.',
    run: ({ storageClasses }) => judged(storageClasses, judgeStorageClasses),
  },
  {
    id: 'cluster-trust-bundles',
    category: 'features',
    title: 'ClusterTrustBundles, which are optional',
    about:
      'Where the API server serves certificates.k8s.io/v1 ClusterTrustBundles, the broker can publish the trust bundle there, too.',
    run: ({ clusterTrustBundles }) =>
      valueOf(clusterTrustBundles) === undefined
        ? skip('it is not known whether the API server serves them')
        : pass(
            valueOf(clusterTrustBundles)
              ? 'served: bundle.clusterTrustBundle uses them'
              : 'not served: trust travels by ConfigMap alone',
          ),
  },
]

function judgeNamespaces(namespaces: readonly NamespaceFact[]) {
  const agents = namespaces.find(({ name }) => name === AGENT_NAMESPACE)
  const system = namespaces.find(({ name }) => name === SYSTEM_NAMESPACE)
  const level = agents?.labels[ENFORCE]
  if (agents && level !== undefined && level !== 'privileged')
    return fail(
      `namespace ${AGENT_NAMESPACE} enforces the Pod Security profile ${level}, under which no agent may run`,
      `kubectl label namespace ${AGENT_NAMESPACE} ${ENFORCE}=privileged --overwrite`,
    )
  if (agents && level === undefined)
    return warn(
      `namespace ${AGENT_NAMESPACE} has no Pod Security label, and the cluster's default may forbid agents`,
      `kubectl label namespace ${AGENT_NAMESPACE} ${ENFORCE}=privileged`,
    )
  const found = [agents, system].flatMap((namespace) => namespace?.name ?? [])
  return pass(found.length === 0 ? 'they do not exist yet' : `${found.join(' and ')}: as it should be`)
}
