import { formatDuration } from '../../core/runtime/duration.ts'
import { ERROR_CODES, isErrorCode } from '../../core/runtime/error-codes.ts'

/** Why a volume could not be mounted. */
export interface MountFailure {
  /** A code of docs/errors.md, where it was one of ours. */
  readonly code?: string
  readonly reason: string
  readonly remedy: string
}

/** What kubelet said in an event. */
export interface KubeletMessage {
  readonly text: string
  /** How long ago, the last time; `undefined` where the event does not say. */
  readonly ageMs: number | undefined
}

/** What kubelet said of a pod's volumes, newest first. */
export interface MountFailures {
  readonly ofOurs: readonly KubeletMessage[]
  readonly ofOthers: readonly KubeletMessage[]
}

/** kubelet waits longer after each attempt, two minutes at most: what it said last may not hold any more. */
const FRESH_MS = 10_000

/** What kubelet itself says when our driver is not to blame, and what to do. First match wins. */
const KUBELET_SAYS: readonly (readonly [pattern: RegExp, reason: string, remedy: string])[] = [
  [
    /not found in the list of registered CSI drivers/,
    'no agent is registered with the kubelet of its node',
    'See why there is none: kubectl -n countersign-agent get pods -o wide --field-selector spec.nodeName=<node>.',
  ],
  [
    /(?:volume mode "Ephemeral" not supported|CSIDriver .*not found|csidriver.* not found|does not support ephemeral|not found in informer cache)/i,
    'the CSIDriver object is missing, or does not allow inline volumes',
    'Restore the CSIDriver object csi.countersign.dev, as the chart or deploy/manifests has it, with volumeLifecycleModes: [Ephemeral].',
  ],
  [
    /(?:connection refused|no such file or directory|connect: |transport: )/,
    'kubelet cannot reach the agent on its node',
    'See the agent of that node: kubectl -n countersign-agent get pods -o wide; it comes back by itself once the agent runs.',
  ],
  [
    /(?:DeadlineExceeded|context deadline exceeded|timed out waiting for the condition)/,
    'the agent of its node did not answer in time, mostly because it cannot reach the broker',
    'See countersign check on the broker, and the log of the agent of that node.',
  ],
]

/** The refusal that a message of kubelet carries: `… desc = template_not_matched: No IdentityTemplate selects …`. */
const REFUSAL = /desc = (?<code>[a-z][a-z0-9_]+): (?<message>[^\n]+)/

/** What the message of a FailedMount event means. `undefined`: nothing that is known. */
export function mountFailure(message: string): MountFailure | undefined {
  const { code, message: words = '' } = REFUSAL.exec(message)?.groups ?? {}
  if (code !== undefined && isErrorCode(code))
    return { code, reason: `${code}: ${words.trim()}`, remedy: ERROR_CODES[code].remedy }
  const [, reason, remedy] = KUBELET_SAYS.find(([pattern]) => pattern.test(message)) ?? []
  return reason === undefined || remedy === undefined ? undefined : { reason, remedy }
}

/** The newest message whose meaning is known. */
export function knownMountFailure(messages: readonly KubeletMessage[]): MountFailure | undefined {
  for (const message of messages) {
    const failure = mountFailure(message.text)
    if (failure) return { ...failure, reason: failure.reason + agoText(message) }
  }
  return undefined
}

/** In kubelet's own words. */
export function quoted(message: KubeletMessage): string {
  return message.text + agoText(message)
}

function agoText({ ageMs = 0 }: KubeletMessage): string {
  if (ageMs <= FRESH_MS) return ''
  const unit = ageMs < 3_600_000 ? 1_000 : 60_000
  return ` (kubelet said so ${formatDuration(Math.floor(ageMs / unit) * unit)} ago, and tries again)`
}
