import type { Clock } from '../core/runtime/clock.ts'
import type { PodUsingDriver } from './kubernetes/pods-using-driver.ts'

/** The longest that it may take; the chart's hook ends it somewhat later. */
const DEADLINE_MS = 100_000
/** Who has more knows what to do. */
const MAX_LISTED = 50

export interface UninstallCheckOptions {
  readonly kubeconfig: string | undefined
  /** A command for whoever would rather keep Countersign, where being asked has changed something already. */
  readonly undo: string | undefined
}

export interface UninstallCheck {
  readonly mayGo: boolean
  /** For people. */
  readonly text: string
}

/**
 * Whether agents may be removed: without one on its node, a pod that uses the driver cannot end, since nobody unmounts
 * its volume.
 *
 * @throws `IdentityError` `kubernetes_unavailable`, `kubernetes_forbidden`, `config_invalid`.
 */
export async function uninstallCheck(
  { kubeconfig, undo }: UninstallCheckOptions,
  clock: Clock,
): Promise<UninstallCheck> {
  const { ApiConnection } = await import('./kubernetes/api-connection.ts')
  const { loadCredentials } = await import('./kubernetes/credentials.ts')
  const { podsUsingDriver } = await import('./kubernetes/pods-using-driver.ts')
  const api = new ApiConnection(await loadCredentials({ kubeconfig }), { clock, maxConnections: 1 })
  const late = new AbortController()
  const done = new AbortController()
  void clock.sleep(DEADLINE_MS, done.signal).then(
    () => late.abort(new Error('the API server takes too long')),
    () => {},
  )
  try {
    return reportOn(await podsUsingDriver(api, late.signal), undo)
  } finally {
    done.abort()
    api.close()
  }
}

/** What is said of the pods that were found. */
export function reportOn(pods: readonly PodUsingDriver[], undo?: string): UninstallCheck {
  if (pods.length === 0) return { mayGo: true, text: 'No pod uses the driver csi.countersign.dev.' }
  const lines = pods
    .slice(0, MAX_LISTED)
    .map(({ namespace, name, node }) => `  ${namespace}/${name}${node && ` on ${node}`}`)
  if (pods.length > MAX_LISTED) lines.push(`  and ${pods.length - MAX_LISTED} more`)
  const title = pods.length === 1 ? 'A pod still uses' : `${pods.length} pods still use`
  const text = [
    `${title} the driver csi.countersign.dev:`,
    ...lines,
    'Without an agent on their node they cannot end. Take the volume out of them, or delete them, and uninstall then.',
    ...(undo === undefined ? [] : [`To keep Countersign, so that it can be upgraded again: ${undo}`]),
  ]
  return { mayGo: false, text: text.join('\n') }
}
