import { IdentityError } from '../../core/runtime/errors.ts'
import type { PodLookup, PodView, PodVolume } from '../admin/explanation/pod-view.ts'
import type { ApiConnection } from './api-connection.ts'
import { parseJson } from './json.ts'

const DRIVER = 'csi.countersign.dev'
const METADATA_ONLY = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'

/** The parts of a Pod (v1) that are looked at. */
interface Pod {
  readonly metadata: { readonly uid: string; readonly creationTimestamp: string; readonly deletionTimestamp?: string }
  readonly spec: {
    readonly nodeName?: string
    readonly serviceAccountName?: string
    readonly volumes?: readonly Volume[]
    readonly containers?: readonly Container[]
    readonly initContainers?: readonly Container[]
  }
  readonly status?: {
    readonly phase?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[]
  }
}

interface Volume {
  readonly name: string
  readonly csi?: {
    readonly driver: string
    readonly readOnly?: boolean
    readonly volumeAttributes?: Readonly<Record<string, string>>
  }
}

interface Container {
  readonly name: string
  readonly volumeMounts?: readonly { readonly name: string }[]
}

/** Asks the API server about one pod at a time, as it is now: whoever asks why wants no answer of some seconds ago. */
export function podLookup(api: ApiConnection): PodLookup {
  return {
    async pod(namespace, name, signal) {
      const pod = (await get(api, { namespace, kind: 'pods', name }, signal)) as Pod | undefined
      return pod && viewOf(pod, namespace, name)
    },
    async serviceAccount(namespace, name, signal) {
      const found = await get(api, { namespace, kind: 'serviceaccounts', name, accept: METADATA_ONLY }, signal)
      return (found as { metadata: { uid: string } } | undefined)?.metadata.uid
    },
  }
}

async function get(
  api: ApiConnection,
  what: { readonly namespace: string; readonly kind: string; readonly name: string; readonly accept?: string },
  signal: AbortSignal,
): Promise<unknown> {
  const { accept = 'application/json' } = what
  const [namespace, name] = [what.namespace, what.name].map(encodeURIComponent)
  const path = `/api/v1/namespaces/${namespace}/${what.kind}/${name}`
  const { status, body } = await api.send({ method: 'GET', path, accept }, signal)
  if (status === 200) return parseJson(body)
  if (status === 404) return undefined
  throw new IdentityError('kubernetes_unavailable', `the API server answers ${status} to a look-up`, {
    retryAfterMs: 1000,
  })
}

function viewOf({ metadata, spec, status }: Pod, namespace: string, name: string): PodView {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
  return {
    namespace,
    name,
    uid: metadata.uid,
    createdAt: new Date(metadata.creationTimestamp),
    nodeName: spec.nodeName,
    serviceAccount: spec.serviceAccountName ?? 'default',
    phase: status?.phase ?? 'Unknown',
    isBeingDeleted: metadata.deletionTimestamp !== undefined,
    unscheduled: scheduled?.status === 'False' ? (scheduled.message ?? '') : '',
    volumes: (spec.volumes ?? []).filter(({ csi }) => csi?.driver === DRIVER).map((volume) => volumeOf(volume, spec)),
  }
}

function volumeOf({ name, csi }: Volume, { containers = [], initContainers = [] }: Pod['spec']): PodVolume {
  return {
    name,
    isReadOnly: csi?.readOnly === true,
    attributes: Object.keys(csi?.volumeAttributes ?? {}),
    mountedBy: [...initContainers, ...containers]
      .filter(({ volumeMounts = [] }) => volumeMounts.some((mount) => mount.name === name))
      .map((container) => container.name),
  }
}
