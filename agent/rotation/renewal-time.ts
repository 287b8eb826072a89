import type { Lifetime } from '../workloads/ports.ts'
import type { Urgency } from '../workloads/svid-issuing.ts'

/** Renewals are early by up to this part of what was left, so that pods that started together do not renew together. */
const JITTER = 0.1

/**
 * When to renew, on the monotonic clock: at half of what was left when the SVID was received, early by up to a tenth
 * (design §3). Never counted from `notBefore`, which is back-dated: a short life would be renewed before it began.
 *
 * @param fraction 0 to 1, drawn once per SVID.
 */
export function renewalTimeMs({ receivedAtMs, expiresAtMs }: Lifetime, fraction: number): number {
  const leftMs = Math.max(0, expiresAtMs - receivedAtMs)
  return receivedAtMs + leftMs * (0.5 - JITTER * fraction)
}

/** How urgent a renewal is: near expiry with less than a quarter of the time left that there was at receipt. */
export function urgencyAt({ receivedAtMs, expiresAtMs }: Lifetime, nowMs: number): Urgency {
  return expiresAtMs - nowMs < (expiresAtMs - receivedAtMs) / 4 ? 'nearExpiry' : 'routine'
}
