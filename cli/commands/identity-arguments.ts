import { InvalidArgumentError } from 'commander'
import { IdentityError } from '../../core/runtime/errors.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'

const MAX_LIMIT = 100_000
/** As the broker has it: longer than any name, UID or SPIFFE ID. */
const MAX_CHARACTERS = 2048

// The broker checks the same and names the fields of its protocol, which are not what the person wrote.

export function limitOf(text: string): number {
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new InvalidArgumentError(`Write a number from 1 to ${MAX_LIMIT}.`)
  return limit
}

export function spiffeIdOf(text: string): string {
  try {
    return SpiffeId.parse(text).toString()
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
    throw new InvalidArgumentError(`Write a SPIFFE ID, for example spiffe://prod.example/ns/shop: ${error.message}.`)
  }
}

/** By whole segments, so that one slash at its end says nothing. */
export function spiffeIdPrefixOf(text: string): string {
  return spiffeIdOf(text.replace(/\/$/, ''))
}

/** Of at most 20 octets; people paste colons, too. */
export function serialNumberOf(text: string): string {
  if (/^[0-9a-f]{1,40}$/i.test(text.replaceAll(':', '').replace(/^0+/, ''))) return text
  throw new InvalidArgumentError('Write it as identity list does: at most 40 hexadecimal digits.')
}

/** The name or UID of an object. */
export function wordOf(text: string): string {
  // oxlint-disable-next-line no-control-regex
  if (text !== '' && text.length <= MAX_CHARACTERS && !/[\u0000-\u001f\u007f]/.test(text)) return text
  throw new InvalidArgumentError(`Write 1 to ${MAX_CHARACTERS} characters, without control characters.`)
}
