import { LEDGER_CLAIM } from '../installation/names.ts'
import { pass, type Verdict, warn } from './check.ts'
import type { StorageClassFact } from './facts.ts'
import type { PodFact } from './pod-fact.ts'

const MAKE_DEFAULT = 'kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true'
const WITHOUT_CLASS =
  'Install a provisioner with a StorageClass, or give the broker a claim of yours (persistence.existingClaim); to try things out, persistence.enabled=false with persistence.ephemeral=true does without.'

/** Whether a claim that names no class, as the chart's does unless told otherwise, gets a volume. */
export function judgeStorageClasses(all: readonly StorageClassFact[]): Verdict {
  const standard = all.filter(({ isDefault }) => isDefault).map(({ name }) => name)
  // Of several the API server takes the newest.
  if (standard.length > 0) return pass(`${standard.join(', ')} is the default`)
  if (all.length === 0) return warn('the cluster has no StorageClass', WITHOUT_CLASS)
  return warn(
    `none is the default: there ${all.length === 1 ? 'is' : 'are'} ${all.map(({ name }) => name).join(', ')}`,
    `Name one in persistence.storageClass as you install, or make one the default: ${MAKE_DEFAULT}`,
  )
}

/** What to do about a pod that the scheduler has no node for. */
export function unscheduledRemedy({ namespace, claims, problems }: PodFact): string {
  const [claim] = claims
  if (claim === undefined || !problems.some((problem) => /persistentvolumeclaim/i.test(problem)))
    return 'Make room for it, or change what it asks of a node.'
  return `kubectl -n ${namespace} describe pvc ${claims.join(' ')} says what is missing. Where no StorageClass is the default one, make one so (${MAKE_DEFAULT})${claims.includes(LEDGER_CLAIM) ? ', or name one: helm upgrade --reset-then-reuse-values --set persistence.storageClass=NAME' : ''}.`
}
