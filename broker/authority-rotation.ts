import type { Clock } from '../core/runtime/clock.ts'
import { backoffMs } from '../core/runtime/backoff.ts'
import type { Random } from '../core/runtime/random.ts'
import type { X509Bundle } from '../core/spiffe/bundle.ts'
import type { Authorities, RotationOutcome } from './ca/authorities.ts'

/** How often authorities are looked at, at most and at least; between them it depends on how long they live. */
const LOOK_MS = { most: 60_000, least: 100 }
/** A prepared authority is activated so soon after the last acknowledgement. */
const WAITING_LOOK_MS = 1_000
const RETRY = { firstMs: 500, maxMs: 30_000 }

/** What happens because authorities rotate. */
export interface RotationEvents {
  /** The bundle has changed: tell everybody. */
  bundle(bundle: X509Bundle): void
  /** A step was taken, or one is waiting. */
  outcome(outcome: RotationOutcome): void | Promise<void>
  failed(error: unknown): void
}

interface Dependencies {
  readonly authorities: Authorities
  readonly clock: Clock
  readonly random: Random
  readonly events: RotationEvents
}

/** Takes every step that is due, one after the other; false if it must be tried again. */
export async function rotateNow({
  authorities,
  events,
}: Pick<Dependencies, 'authorities' | 'events'>): Promise<boolean> {
  for (;;) {
    const before = authorities.bundle
    try {
      const outcome = await authorities.rotate()
      if (authorities.bundle !== before) events.bundle(authorities.bundle)
      await events.outcome(outcome)
      if (!outcome.step) return true
    } catch (error) {
      events.failed(error)
      return false
    }
  }
}

/** Keeps authorities rotating until `signal` is aborted. */
export async function keepRotating(deps: Dependencies, lifetimeMs: number, signal: AbortSignal): Promise<void> {
  const { authorities, clock, random } = deps
  const pause = Math.min(LOOK_MS.most, Math.max(LOOK_MS.least, lifetimeMs / 200))
  let failures = 0
  while (!signal.aborted) {
    failures = (await rotateNow(deps)) ? 0 : failures + 1
    const isWaiting = authorities.slots.some(({ state }) => state === 'prepared')
    const next = isWaiting ? Math.min(pause, WAITING_LOOK_MS) : pause
    await clock.sleep(failures > 0 ? backoffMs(failures, RETRY, random) : next, signal).catch(() => {})
  }
}
