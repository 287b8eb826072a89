import type { KeyObject } from 'node:crypto'
import type { Certificate } from '../../core/pki/certificate.ts'

/** *prepared*: published, signs nothing. *active*: signs. *old*: trusted until the last leaf that it signed has expired. */
export type SlotState = 'prepared' | 'active' | 'old'

/** An authority and where it stands in its life (design §8). Plain data: what changes is a new slot. */
export interface AuthoritySlot {
  /** Subject key identifier, hexadecimal. */
  readonly keyId: string
  readonly state: SlotState
  readonly certificate: Certificate
  readonly chain: readonly Certificate[]
  readonly anchor: Certificate
  readonly privateKey: KeyObject
  readonly preparedAt: Date
  /**
   * The longest life that its leaves were ever allowed, in milliseconds; none while it is prepared. What was signed under
   * an earlier configuration outlives that configuration, so this is never lowered. An active one without it is from a
   * version that did not write it down.
   */
  readonly longestLeafMs: number | undefined
  /** Set once `old`: when the last leaf that it signed has expired at the latest. */
  readonly trustedUntil: Date | undefined
}

/** All authorities, with the bundle that they make up. */
export interface Slots {
  readonly slots: readonly AuthoritySlot[]
  /** Grows with every change of the bundle, and never goes back. */
  readonly bundleSequence: number
}

/** What verifiers are to trust: the anchor of every slot, each once, in the order they came. */
export function anchorsOf(slots: readonly AuthoritySlot[]): readonly Certificate[] {
  return slots
    .map(({ anchor }) => anchor)
    .filter((anchor, index, all) => all.findIndex((other) => other.der.equals(anchor.der)) === index)
}

/**
 * The slots after a change. The sequence grows if the bundle did change, and is never less than the seconds since 1970,
 * so that it grows even where a ledger was lost or restored from an old back-up and agents remember a later one.
 */
export function withSlots({ slots: before, bundleSequence }: Slots, slots: readonly AuthoritySlot[], now: Date): Slots {
  const names = (list: readonly AuthoritySlot[]) =>
    anchorsOf(list)
      .map(({ der }) => der.toString('base64'))
      .sort()
      .join()
  if (names(before) === names(slots)) return { slots, bundleSequence }
  return { slots, bundleSequence: Math.max(bundleSequence + 1, Math.floor(now.getTime() / 1000)) }
}

export function activeOf(slots: readonly AuthoritySlot[]): AuthoritySlot | undefined {
  return slots.find(({ state }) => state === 'active')
}

export function preparedOf(slots: readonly AuthoritySlot[]): AuthoritySlot | undefined {
  return slots.find(({ state }) => state === 'prepared')
}
