import { Buffer } from 'node:buffer'
import { primitive, type DerNode } from './der-encode.ts'
import { TAG } from './der-tags.ts'
import type { DerValue } from './der.ts'

/** Time as RFC 5280 §4.1.2.5 has it: UTCTime from 1950 through 2049, GeneralizedTime else; whole seconds, UTC. */
export function encodeTime(date: Date): DerNode {
  const year = date.getUTCFullYear()
  if (Number.isNaN(year) || year < 0 || year > 9999) throw new TypeError('a certificate holds years 0 to 9999')
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:T]/g, '')
  return year >= 1950 && year < 2050
    ? primitive(TAG.utcTime, Buffer.from(digits.slice(2), 'latin1'))
    : primitive(TAG.generalizedTime, Buffer.from(digits, 'latin1'))
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
