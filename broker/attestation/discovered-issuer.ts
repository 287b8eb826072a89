import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { orAborted, withDeadline } from './deadline.ts'

/** The issuer that tokens must name. */
export type IssuerOf = (signal: AbortSignal) => string | Promise<string>

const TIMEOUT_MS = 5_000
/** After a failure all are refused for so long: whoever asks has proven nothing yet. */
const PAUSE_MS = 1_000

/**
 * An issuer that is asked for when the first token comes, once for all who wait, and kept: a broker whose API server is
 * away as it starts learns it later. A cluster's issuer changes only when the API server is set up anew.
 */
export function discoveredIssuer(discover: (signal: AbortSignal) => Promise<string>, clock: Clock): IssuerOf {
  let known: string | undefined
  let asking: Promise<string> | undefined
  let failed: { readonly error: unknown; readonly atMs: number } | undefined

  const ask = async () => {
    try {
      const late = () => new IdentityError('kubernetes_unavailable', "the cluster's issuer did not come in time")
      known = await withDeadline({ clock, timeoutMs: TIMEOUT_MS }, discover, late)
      return known
    } catch (error) {
      failed = { error, atMs: clock.monotonicMs() }
      throw error
    } finally {
      asking = undefined
    }
  }
  return (signal) => {
    if (known !== undefined) return known
    if (!asking && failed && clock.monotonicMs() - failed.atMs < PAUSE_MS) return Promise.reject(failed.error)
    asking ??= ask()
    return orAborted(asking, signal)
  }
}
