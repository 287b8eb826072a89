import { IdentityError } from './errors.ts'

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/**
 * Milliseconds of a duration like `90s`, `12h` or `1h30m`. A number without a unit is refused: nobody knows which was
 * meant.
 *
 * @throws `IdentityError` `config_invalid`.
 */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) {
    throw new IdentityError(
      'config_invalid',
      `'${text.slice(0, 40)}' is not a duration; write for example 90s, 30m or 1h30m`,
    )
  }
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS], 0)
}

/** The shortest way to write `milliseconds` that {@link parseDuration} reads back: for people and documents. */
export function formatDuration(milliseconds: number): string {
  let left = Math.round(milliseconds)
  if (left === 0) return '0s'
  let text = ''
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(left / UNITS_MS[unit])
    if (count > 0) text += `${count}${unit}`
    left -= count * UNITS_MS[unit]
  }
  return text
}
