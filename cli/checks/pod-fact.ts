/** What is kept of a pod. */
export interface PodFact {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** Empty as long as it is not scheduled. */
  readonly node: string
  readonly serviceAccount: string
  readonly phase: string
  readonly isReady: boolean
  readonly isBeingDeleted: boolean
  /** Volumes of our driver. */
  readonly volumes: readonly VolumeFact[]
  /** Inline volumes of other drivers: one of them may have been meant to be ours. */
  readonly foreignVolumes: readonly ForeignVolumeFact[]
  /** Names of the PersistentVolumeClaims that it uses. */
  readonly claims: readonly string[]
  /** Why it does not run, as the scheduler and kubelet say it. */
  readonly problems: readonly string[]
}

export interface VolumeFact {
  readonly name: string
  readonly readOnly: boolean
  readonly attributes: Readonly<Record<string, string>>
}

export interface ForeignVolumeFact {
  readonly name: string
  readonly driver: string
}

/** A pod's object, as far as it is looked at. */
export interface PodObject {
  readonly metadata?: {
    readonly namespace?: string
    readonly name?: string
    readonly uid?: string
    readonly deletionTimestamp?: Date | string
  }
  readonly spec?: {
    readonly nodeName?: string
    readonly serviceAccountName?: string
    readonly volumes?: readonly {
      readonly name: string
      readonly csi?: {
        readonly driver: string
        readonly readOnly?: boolean
        readonly volumeAttributes?: Record<string, string>
      }
      readonly persistentVolumeClaim?: { readonly claimName: string }
    }[]
  }
  readonly status?: {
    readonly phase?: string
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly reason?: string
      readonly message?: string
    }[]
    readonly initContainerStatuses?: readonly ContainerStatus[]
    readonly containerStatuses?: readonly ContainerStatus[]
  }
}

interface ContainerStatus {
  readonly name: string
  readonly containerID?: string
  readonly restartCount?: number
  readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } }
  readonly lastState?: { readonly terminated?: { readonly exitCode: number; readonly reason?: string } }
}

/** Reasons of waiting that are no trouble. */
const ORDINARY = new Set(['ContainerCreating', 'PodInitializing'])

export function podFact(pod: PodObject, driver: string): PodFact {
  const { metadata = {}, spec = {}, status = {} } = pod
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    node: spec.nodeName ?? '',
    serviceAccount: spec.serviceAccountName ?? 'default',
    phase: status.phase ?? 'Unknown',
    isReady: isTrue(pod, 'Ready'),
    isBeingDeleted: metadata.deletionTimestamp !== undefined,
    volumes: (spec.volumes ?? []).flatMap(({ name, csi }) =>
      csi?.driver === driver ? [{ name, readOnly: csi.readOnly === true, attributes: csi.volumeAttributes ?? {} }] : [],
    ),
    foreignVolumes: (spec.volumes ?? []).flatMap(({ name, csi }) =>
      csi && csi.driver !== driver ? [{ name, driver: csi.driver }] : [],
    ),
    claims: (spec.volumes ?? []).flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []),
    problems: problemsOf(pod),
  }
}

/**
 * Whether kubelet has mounted the pod's volumes: that comes before the sandbox, and so before images and containers. What
 * the pod waits for afterwards is another matter.
 */
export function hasVolumes(pod: PodObject): boolean {
  const containers = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  return (
    isTrue(pod, 'PodReadyToStartContainers') ||
    containers.some(({ containerID, state }) => {
      const reason = state?.waiting?.reason
      return Boolean(containerID) || (reason !== undefined && !ORDINARY.has(reason))
    })
  )
}

function isTrue({ status }: PodObject, type: string): boolean {
  return status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') === true
}

function problemsOf({ status = {} }: PodObject): string[] {
  const unscheduled = (status.conditions ?? [])
    .filter(({ type, status }) => type === 'PodScheduled' && status === 'False')
    .map(({ message, reason }) => `not scheduled: ${message ?? reason ?? 'no reason given'}`)
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].flatMap(
    ({ name, state, lastState, restartCount = 0 }) => {
      const { reason, message } = state?.waiting ?? {}
      if (reason === undefined || ORDINARY.has(reason)) return []
      const last = lastState?.terminated
      const ended = last
        ? ` (last end: exit code ${last.exitCode}${last.reason ? `, ${last.reason}` : ''}; ${restartCount} restarts)`
        : ''
      return [`container ${name}: ${reason}${message ? `: ${message}` : ''}${ended}`]
    },
  )
  return [...unscheduled, ...containers]
}
