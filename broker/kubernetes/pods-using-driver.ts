import type { ApiConnection } from './api-connection.ts'
import { listPaged } from './paged-list.ts'
import type { ApiObject } from './watch-events.ts'

const DRIVER = 'csi.countersign.dev'
/** A pod may take some tens of kilobytes, and an answer is read up to 4 MiB. */
const PODS = { path: '/api/v1/pods', pageSize: 50 }

/** A pod with a volume of our driver that has not ended. */
export interface PodUsingDriver {
  readonly namespace: string
  readonly name: string
  /** Empty as long as it is not scheduled. */
  readonly node: string
}

interface Pod extends ApiObject {
  readonly spec?: {
    readonly nodeName?: string
    readonly volumes?: readonly { readonly csi?: { readonly driver?: string } }[]
  }
  readonly status?: { readonly phase?: string }
}

/** @throws `IdentityError` `kubernetes_unavailable`, `kubernetes_forbidden`. */
export async function podsUsingDriver(api: ApiConnection, signal: AbortSignal): Promise<readonly PodUsingDriver[]> {
  const found: PodUsingDriver[] = []
  const take = (object: ApiObject) => {
    const { metadata, spec, status } = object as Pod
    const uses = spec?.volumes?.some(({ csi }) => csi?.driver === DRIVER) ?? false
    // kubelet has unmounted the volumes of a pod that has ended.
    const hasEnded = status?.phase === 'Succeeded' || status?.phase === 'Failed'
    if (!uses || hasEnded) return
    found.push({ namespace: metadata.namespace ?? '', name: metadata.name, node: spec?.nodeName ?? '' })
  }
  await listPaged(api, { ...PODS, take }, signal)
  return found
}
