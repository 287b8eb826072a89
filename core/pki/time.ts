import { ascii, type DerNode } from './der-encode.ts'
import { TAG } from './der-tags.ts'
import type { DerValue } from './der.ts'

/** Time as RFC 5280 §4.1.2.5 has it: UTCTime from 1950 through 2049, GeneralizedTime else; whole seconds, UTC. */
export function encodeTime(date: Date): DerNode {
  const year = date.getUTCFullYear()
  if (Number.isNaN(year) || year < 0 || year > 9999) throw new TypeError('a certificate holds years 0 to 9999')
  const day = two(date.getUTCMonth() + 1) + two(date.getUTCDate())
  const time = two(date.getUTCHours()) + two(date.getUTCMinutes()) + two(date.getUTCSeconds())
  const text = `${two(year % 100)}${day}${time}Z`
  return year >= 1950 && year < 2050
    ? ascii(TAG.utcTime, text)
    : ascii(TAG.generalizedTime, two(Math.floor(year / 100)) + text)
}

/** @returns `undefined` for what {@link encodeTime} would not have written: fractions, offsets, 30 February, the other type. */
export function decodeTime({ tag, contents }: DerValue): Date | undefined {
  const text = contents.toString('latin1')
  if (!/^(?:\d\d)?\d{12}Z$/.test(text)) return undefined
  const century = tag === TAG.generalizedTime ? '' : Number(text.slice(0, 2)) < 50 ? '20' : '19'
  const [year, month, day, hour, minute, second] = (century + text).match(/^\d{4}|\d\d/g) ?? []
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  if (Number.isNaN(date.getTime())) return undefined
  const canonical = encodeTime(date)
  return canonical.type === tag && canonical.value === text ? date : undefined
}

/** Two digits. By hand, since `toISOString` and its trimming would be the dearest part of building a certificate. */
function two(number: number): string {
  return number < 10 ? `0${number}` : String(number)
}
