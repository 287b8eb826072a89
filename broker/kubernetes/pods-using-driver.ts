import { IdentityError } from '../../core/runtime/errors.ts'
import type { ApiConnection } from './api-connection.ts'
import { parseJson } from './json.ts'

const DRIVER = 'csi.countersign.dev'
/** A pod may take some tens of kilobytes, and an answer is read up to 4 MiB. */
const PAGE = 50
/** More pods than Kubernetes supports in a cluster; a list without an end is none. */
const MAX_PAGES = 10_000

/** A pod with a volume of our driver that has not ended. */
export interface PodUsingDriver {
  readonly namespace: string
  readonly name: string
  /** Empty as long as it is not scheduled. */
  readonly node: string
}

interface PodList {
  readonly metadata?: { readonly continue?: string }
  readonly items?: readonly {
    readonly metadata: { readonly namespace: string; readonly name: string }
    readonly spec?: {
      readonly nodeName?: string
      readonly volumes?: readonly { readonly csi?: { readonly driver?: string } }[]
    }
    readonly status?: { readonly phase?: string }
  }[]
}

/** @throws `IdentityError` `kubernetes_unavailable`, `kubernetes_forbidden`. */
export async function podsUsingDriver(api: ApiConnection, signal: AbortSignal): Promise<readonly PodUsingDriver[]> {
  const found: PodUsingDriver[] = []
  let next = ''
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const path = `/api/v1/pods?limit=${PAGE}${next && `&continue=${encodeURIComponent(next)}`}`
    const { status, body } = await api.send({ method: 'GET', path, background: true }, signal)
    if (status !== 200) {
      throw new IdentityError('kubernetes_unavailable', `the API server answers ${status} to a list of pods`, {
        retryAfterMs: 1000,
      })
    }
    const { metadata, items = [] } = parseJson(body) as PodList
    for (const { metadata: pod, spec, status: state } of items) {
      const uses = spec?.volumes?.some(({ csi }) => csi?.driver === DRIVER) ?? false
      // kubelet has unmounted the volumes of a pod that has ended.
      const hasEnded = state?.phase === 'Succeeded' || state?.phase === 'Failed'
      if (uses && !hasEnded) found.push({ namespace: pod.namespace, name: pod.name, node: spec?.nodeName ?? '' })
    }
    next = metadata?.continue ?? ''
    if (next === '') return found
  }
  throw new IdentityError('kubernetes_unavailable', 'the list of pods has no end', { retryAfterMs: 1000 })
}
