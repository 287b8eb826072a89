import { type Check, count, fail, type Finding, judged, pass, warn } from './check.ts'
import type { InstalledFacts, WaitingPod } from './facts.ts'
import { knownMountFailure, quoted } from './mount-failure.ts'
import { unscheduledRemedy } from './storage.ts'

/** Pods that should have an identity. */
export const POD_CHECKS: readonly Check<InstalledFacts>[] = [
  {
    id: 'waiting-pods',
    category: 'pods',
    title: 'no pod waits for an identity',
    about:
      'A pod whose volume cannot be mounted stays Pending; kubelet says why in its events, and the broker why it refused.',
    run: ({ waitingPods }) =>
      judged(waitingPods, ({ pods, more }) => {
        const beyond = more > 0 ? [{ subject: `${more} more`, reason: 'not looked into; most wait for the same' }] : []
        const findings: Finding[] = [...pods.map(judgePod), ...beyond]
        const stuck = findings.filter(({ remedy }) => remedy !== undefined)
        if (findings.length === 0) return pass('none')
        if (stuck.length === 0)
          return warn(
            `${count(findings.length, 'pod')} ${findings.length === 1 ? 'waits' : 'wait'}, for nothing that is known`,
            'Look again in a moment.',
            findings,
          )
        return fail(
          `${count(stuck.length, 'pod')} ${stuck.length === 1 ? 'gets' : 'get'} no identity`,
          'Each pod has its own remedy; countersign explain pod NAME -n NAMESPACE has every step.',
          findings,
        )
      }),
  },
]

/** Why a pod waits: what can be seen in the pod itself, what kubelet says, what the broker says; the first that is known. */
export function judgePod({ pod, mountFailures, explained }: WaitingPod): Finding {
  const subject = `${pod.namespace}/${pod.name}`
  if (pod.node === '')
    return {
      subject,
      reason: pod.problems[0] ?? 'not scheduled yet',
      remedy: pod.problems.length > 0 ? unscheduledRemedy(pod) : undefined,
    }
  const writable = pod.volumes.find(({ readOnly }) => !readOnly)
  if (writable)
    return {
      subject,
      reason: `volume_not_read_only: its volume ${writable.name} is not readOnly`,
      remedy: 'Set csi.readOnly: true on the volume.',
    }
  const known = knownMountFailure(mountFailures)
  if (known) return { subject, reason: known.reason, remedy: known.remedy }
  if (explained?.remedy) return { subject, reason: explained.summary, remedy: explained.remedy }
  const [newest] = mountFailures
  if (newest !== undefined) return { subject, reason: quoted(newest), remedy: 'See the log of the agent on its node.' }
  return { subject, reason: explained?.summary ?? pod.problems[0] ?? 'its volume is not mounted yet' }
}
