import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt'
import { IdentityError } from '../../core/runtime/errors.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'

/** Longer than any name, UID or SPIFFE ID. */
const MAX_CHARACTERS = 2048

/** A text that was given; an empty one was not (proto3). Control characters are in no name. */
export function given(field: string, text: string): string | undefined {
  if (text === '') return undefined
  // oxlint-disable-next-line no-control-regex
  if (text.length > MAX_CHARACTERS || /[\u0000-\u001f\u007f]/.test(text)) {
    throw invalid(field, `is longer than ${MAX_CHARACTERS} characters, or holds control characters`)
  }
  return text
}

/** RFC 1123 subdomain: what Kubernetes allows as a name. Anything else must not become a part of a path. */
export function objectName(field: string, text: string): string {
  if (/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(text)) return text
  throw invalid(field, 'is not a lower-case RFC 1123 name')
}

export function givenSpiffeId(field: string, text: string): string | undefined {
  const value = given(field, text)
  return value === undefined ? undefined : checked(field, value)
}

/** A prefix by whole segments is itself a SPIFFE ID, be it that of the trust domain; one slash at its end says nothing. */
export function givenSpiffeIdPrefix(field: string, text: string): string | undefined {
  const value = given(field, text)
  return value === undefined ? undefined : checked(field, value.replace(/\/$/, ''))
}

function checked(field: string, text: string): string {
  try {
    return SpiffeId.parse(text).toString()
  } catch (error) {
    if (error instanceof IdentityError) throw invalid(field, `: ${error.message}`)
    throw error
  }
}

/** As the ledger writes it: lower case, two digits an octet, no leading zeros but for those. People paste colons, too. */
export function givenSerialNumber(field: string, text: string): string | undefined {
  if (text === '') return undefined
  const digits = text.replaceAll(':', '').toLowerCase().replace(/^0+/, '')
  if (!/^[0-9a-f]{1,40}$/.test(digits)) throw invalid(field, 'is no serial number (at most 20 octets, hexadecimal)')
  return digits.length % 2 === 0 ? digits : `0${digits}`
}

export function givenTime(field: string, timestamp: Timestamp | undefined): Date | undefined {
  if (!timestamp) return undefined
  const date = timestampDate(timestamp)
  if (Number.isNaN(date.getTime())) throw invalid(field, 'is no time')
  return date
}

/** A word of an enumeration; those that this program does not know would otherwise mean "any". */
export function givenWord<T>(field: string, value: number, words: Readonly<Record<number, T>>): T | undefined {
  if (value === 0) return undefined
  const word = words[value]
  if (word === undefined) throw invalid(field, `has the value ${value}, which is not known`)
  return word
}

function invalid(field: string, why: string): IdentityError {
  return new IdentityError('request_invalid', `${field} ${why}`.replace(' :', ':'))
}
