/** What readiness depends on. */
export interface ReadinessFacts {
  readonly isConnected: boolean
  /** The last failure to reach the broker: its code, and what was said. */
  readonly failure: string | undefined
  /** How long the agent's own SVID has left; undefined before the first. */
  readonly ownLeftMs: number | undefined
  /** Whether kubelet knows the driver; undefined where it serves no pods. */
  readonly isRegistered: boolean | undefined
}

/**
 * Why the agent cannot serve new workloads now; empty when it can. Those that it serves already are served in any case,
 * so that nothing restarts it for this.
 */
export function notReadyReasons({ isConnected, failure, ownLeftMs, isRegistered }: ReadinessFacts): string[] {
  const reasons: string[] = []
  if (ownLeftMs === undefined) reasons.push('the node is not attested yet')
  else if (ownLeftMs <= 0) reasons.push("the agent's own SVID has expired")
  if (!isConnected) reasons.push(`there is no connection to the broker${failure === undefined ? '' : `: ${failure}`}`)
  if (isRegistered === false) reasons.push('kubelet has not registered the driver yet')
  return reasons
}
