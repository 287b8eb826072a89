import { activeOf, type AuthoritySlot, preparedOf } from './authority-slot.ts'
import { halfOfLife, type RotationPolicy, waitsForGate } from './rotation.ts'

/** When authorities change next, if all goes well; what {@link nextStep} decides by, for people. */
export interface RotationSchedule {
  /** When the next one is prepared; `undefined` while one is, or none signs. */
  readonly preparation: Date | undefined
  /** Of the prepared one; `undefined` without one. */
  readonly activation:
    | {
        readonly keyId: string
        readonly earliest: Date
        /** Whoever has not acknowledged the bundle then. */
        readonly forcedAt: Date | undefined
        /** Whether acknowledgements are waited for at all. */
        readonly isGated: boolean
      }
    | undefined
}

export function rotationSchedule(
  slots: readonly AuthoritySlot[],
  { leastDelayMs, deadlineMs }: Pick<RotationPolicy, 'leastDelayMs' | 'deadlineMs'>,
): RotationSchedule {
  const active = activeOf(slots)
  const prepared = preparedOf(slots)
  if (!prepared) return { preparation: active && halfOfLife(active), activation: undefined }
  const isGated = waitsForGate(slots)
  const { keyId, preparedAt } = prepared
  const earliest = new Date(preparedAt.getTime() + (isGated ? leastDelayMs : 0))
  const forcedAt = active && new Date(active.certificate.notAfter.getTime() - deadlineMs)
  return { preparation: undefined, activation: { keyId, earliest, forcedAt, isGated } }
}
