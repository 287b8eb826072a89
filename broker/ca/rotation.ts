import { anchorsOf, type AuthoritySlot, preparedOf } from './authority-slot.ts'

/** How authorities follow each other; all in milliseconds. */
export interface RotationPolicy {
  readonly lifetimeMs: number
  /** A prepared authority waits at least this long, for consumers of the bundle that nobody hears of. */
  readonly leastDelayMs: number
  /** So long before the active one ends, the prepared one is activated whoever has not acknowledged it. */
  readonly deadlineMs: number
  /** The longest life of a leaf that is signed from now on; what was allowed before, each slot remembers. */
  readonly longestLeafMs: number
}

/** The next thing to do about authorities. */
export type RotationStep =
  | { readonly do: 'prepare' }
  /** `forced`: nodes that have not acknowledged the bundle will not trust what is signed from here on. */
  | { readonly do: 'activate'; readonly keyId: string; readonly forced: boolean }
  | { readonly do: 'retire'; readonly keyId: string }

/** Whether the prepared authority is behind an anchor that verifiers do not have yet, so that its activation must wait. */
export function waitsForGate(slots: readonly AuthoritySlot[]): boolean {
  const prepared = preparedOf(slots)
  if (!prepared) return false
  const others = anchorsOf(slots.filter((slot) => slot !== prepared))
  return !others.some((anchor) => anchor.der.equals(prepared.anchor.der))
}

/**
 * What is due at `now`, one step at a time (design §8): *prepared* at half of the active one's life, *active* once the
 * gate is open (everybody who holds anything has acknowledged the bundle), *old*, and gone.
 *
 * @param isGateOpen only asked for where {@link waitsForGate}.
 * @returns `undefined` while there is nothing to do.
 */
export function nextStep(
  slots: readonly AuthoritySlot[],
  now: Date,
  policy: RotationPolicy,
  isGateOpen: boolean,
): RotationStep | undefined {
  const gone = slots.find((slot) => isGone(slot, now, policy))
  if (gone) return { do: 'retire', keyId: gone.keyId }

  // After a jump of the clock the active one may have ended, or not have begun: then there is no time to wait.
  const active = slots.find((slot) => slot.state === 'active' && isValid(slot, now))
  const prepared = preparedOf(slots)
  if (!prepared) return !active || now >= halfOfLife(active) ? { do: 'prepare' } : undefined
  if (!active && !isValid(prepared, now)) return { do: 'retire', keyId: prepared.keyId }

  const isLate = !active || now.getTime() >= active.certificate.notAfter.getTime() - policy.deadlineMs
  const isDelayed = now.getTime() < prepared.preparedAt.getTime() + policy.leastDelayMs
  const mustWait = waitsForGate(slots) && (!isGateOpen || isDelayed)
  if (mustWait && !isLate) return undefined
  return { do: 'activate', keyId: prepared.keyId, forced: mustWait && !isGateOpen }
}

/**
 * How the slots look once the authority `keyId` signs. Of the one before it, {@link allowing} has seen all that it signed
 * under.
 */
export function activated(
  slots: readonly AuthoritySlot[],
  keyId: string,
  now: Date,
  { longestLeafMs }: RotationPolicy,
): readonly AuthoritySlot[] {
  return slots.map((slot) => {
    if (slot.keyId === keyId) return { ...slot, state: 'active', longestLeafMs, trustedUntil: undefined }
    return slot.state === 'active' ? { ...slot, state: 'old', trustedUntil: lastLeafEnds(slot, now) } : slot
  })
}

/** How the slots look once the active authority may sign what `policy` allows; the same ones where it already may. */
export function allowing(slots: readonly AuthoritySlot[], { longestLeafMs }: RotationPolicy): readonly AuthoritySlot[] {
  // One without a bound is trusted until its own end in any case.
  const isShorter = (slot: AuthoritySlot) => slot.state === 'active' && (slot.longestLeafMs ?? Infinity) < longestLeafMs
  return slots.some(isShorter) ? slots.map((slot) => (isShorter(slot) ? { ...slot, longestLeafMs } : slot)) : slots
}

/** How long a leaf that is valid may live in all: by the policy, or by an earlier one that a slot remembers. */
export function longestLifeMs(slots: readonly AuthoritySlot[], { longestLeafMs }: RotationPolicy): number {
  const lives = slots
    .filter(({ state }) => state !== 'prepared')
    .map((slot) => slot.longestLeafMs ?? slot.certificate.notAfter.getTime() - slot.certificate.notBefore.getTime())
  return Math.max(longestLeafMs, ...lives)
}

/**
 * When the last leaf that `slot` signed has ended at the latest, if it signs no more from `now` on. A leaf never outlives
 * its issuer. More is not known of one that an older version let sign, whose configuration may have allowed anything; nor
 * after the clock has jumped back to before it began, which then does not tell when it signed.
 */
function lastLeafEnds({ certificate: { notBefore, notAfter }, longestLeafMs }: AuthoritySlot, now: Date): Date {
  if (longestLeafMs === undefined || now < notBefore) return notAfter
  return new Date(Math.min(now.getTime() + longestLeafMs, notAfter.getTime()))
}

/** Counted from when it was made: `notBefore` is back-dated, which would bring the half of a short life before its begin. */
export function halfOfLife({ preparedAt, certificate: { notAfter } }: AuthoritySlot): Date {
  return new Date((preparedAt.getTime() + notAfter.getTime()) / 2)
}

function isValid({ certificate: { notBefore, notAfter } }: AuthoritySlot, now: Date): boolean {
  return notBefore <= now && now < notAfter
}

/**
 * Nobody is served by an authority that has ended; the margin is for a clock that has jumped and comes back. Where
 * authorities live for less than hours it is a part of their life, so that bundles stay small.
 */
const RETIRE_MARGIN = { mostMs: 3_600_000, ofLife: 1 / 4 }

function isGone({ state, certificate, trustedUntil }: AuthoritySlot, now: Date, { lifetimeMs }: RotationPolicy) {
  const ends = state === 'old' && trustedUntil ? trustedUntil : certificate.notAfter
  const marginMs = Math.min(RETIRE_MARGIN.mostMs, lifetimeMs * RETIRE_MARGIN.ofLife)
  return now.getTime() > ends.getTime() + marginMs
}
