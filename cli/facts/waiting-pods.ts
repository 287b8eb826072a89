import { ERROR_CODES, isErrorCode } from '../../core/runtime/error-codes.ts'
import { type ExplainPodResponse, StepOutcome } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { AdminChannel } from '../broker/admin-channel.ts'
import type { WaitingPod, WaitingPods } from '../checks/facts.ts'
import type { KubeletMessage, MountFailures } from '../checks/mount-failure.ts'
import { judgePod } from '../checks/pod-checks.ts'
import { hasVolumes, type PodFact, podFact } from '../checks/pod-fact.ts'
import { CSI_DRIVER } from '../installation/names.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { everyPage } from '../kubernetes/every-page.ts'
import { attempt } from './attempt.ts'

/** So many are looked into: whoever has more of them waiting has one reason for most. */
const MAX_PODS = 20
/** A pod that was made just now, and of which nobody says anything bad, waits for its volume as every pod does. */
const ORDINARY_WAIT_MS = 10_000
/** Kubelet's own are shorter; whoever may write events may write longer ones. */
const MAX_MESSAGE = 4096

/** Pods that wait for a volume of ours, with what kubelet and the broker say of it. */
export async function waitingPods(
  cluster: Cluster,
  { admin, now }: { readonly admin: AdminChannel | undefined; readonly now: Date },
): Promise<WaitingPods> {
  const pending = await cluster.call('list pods', ({ core }) =>
    everyPage((page) => core.listPodForAllNamespaces({ fieldSelector: 'status.phase=Pending', ...page })),
  )
  const ours = pending
    .map((pod) => ({ pod, fact: podFact(pod, CSI_DRIVER) }))
    .filter(({ pod, fact }) => fact.volumes.length > 0 && !fact.isBeingDeleted && !hasVolumes(pod))
  const looked = await Promise.all(
    ours.slice(0, MAX_PODS).map(async ({ pod: { metadata }, fact: pod }) => {
      const failures = await attempt(() => mountFailures(cluster, pod, now))
      const explained = admin && (await attempt(() => explain(admin, pod)))
      const waiting: WaitingPod = {
        pod,
        mountFailures: 'value' in failures ? failures.value.ofOurs : [],
        ...(explained && 'value' in explained && { explained: reasonOf(explained.value) }),
      }
      return { waiting, ageMs: now.getTime() - (metadata?.creationTimestamp?.getTime() ?? 0) }
    }),
  )
  const pods = looked
    .filter(({ waiting, ageMs }) => ageMs > ORDINARY_WAIT_MS || judgePod(waiting).remedy !== undefined)
    .map(({ waiting }) => waiting)
  return { pods, more: ours.length - looked.length }
}

/** What kubelet said of the pod's volumes. */
export async function mountFailures(
  cluster: Cluster,
  { namespace, uid, volumes }: PodFact,
  now: Date,
): Promise<MountFailures> {
  const events = await cluster.call(`list events in namespace ${namespace}`, ({ core }) =>
    everyPage((page) =>
      core.listNamespacedEvent({ namespace, fieldSelector: `involvedObject.uid=${uid},reason=FailedMount`, ...page }),
    ),
  )
  const at = ({ lastTimestamp, eventTime, firstTimestamp }: (typeof events)[number]) =>
    (lastTimestamp ?? eventTime ?? firstTimestamp)?.getTime()
  const messages = events
    .toSorted((one, other) => (at(other) ?? 0) - (at(one) ?? 0))
    .flatMap((event): KubeletMessage[] => {
      const [text, time] = [event.message?.slice(0, MAX_MESSAGE), at(event)]
      return text === undefined ? [] : [{ text, ageMs: time === undefined ? undefined : now.getTime() - time }]
    })
  const isOfOurs = ({ text }: KubeletMessage) => volumes.some(({ name }) => text.includes(name))
  return { ofOurs: messages.filter(isOfOurs), ofOthers: messages.filter((message) => !isOfOurs(message)) }
}

function explain(admin: AdminChannel, { namespace, name }: PodFact): Promise<ExplainPodResponse> {
  return admin.ask((service, options) => service.explainPod({ namespace, name }, options))
}

function reasonOf({ summary, steps, refusals }: ExplainPodResponse): NonNullable<WaitingPod['explained']> {
  const failed = steps.find(({ outcome }) => outcome === StepOutcome.FAILED)
  if (failed)
    return { summary: [failed.code, failed.found].filter(Boolean).join(': '), remedy: failed.remedy || undefined }
  const [last] = refusals
  const remedy = last && (last.remedy || (isErrorCode(last.code) ? ERROR_CODES[last.code].remedy : undefined))
  return { summary: last ? `${last.code}: ${last.reason || last.meaning}` : summary, remedy }
}
