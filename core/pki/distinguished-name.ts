import type { Buffer } from 'node:buffer'
import { ascii, encodeDer, oid, sequence, setOf, utf8String, type DerNode } from './der-encode.ts'
import { TAG } from './der-tags.ts'
import { readDer } from './der.ts'
import { dottedOid, OID } from './oid.ts'

/** The attributes that names of ours have. None at all is the empty name, legal where a critical SAN stands in. */
export interface DistinguishedName {
  /** At most 64 characters (RFC 5280 appendix A.1, ub-organization-name). */
  readonly organization?: string
  /** At most 64 characters (ub-common-name). */
  readonly commonName?: string
  /** At most 64 of PrintableString's characters (ub-serial-number); tells apart authorities of one organization. */
  readonly serialNumber?: string
}

/** The bound of each attribute (RFC 5280 appendix A.1, upper bounds). */
export const MAX_ATTRIBUTE_CHARACTERS = 64

/**
 * Name (RFC 5280 §4.1.2.4) in DER: one attribute per RDN, general before particular.
 *
 * @throws {TypeError} for an attribute that is empty or too long; callers check what they take from users.
 */
export function encodeName({ organization, commonName, serialNumber }: DistinguishedName): Buffer {
  return encodeDer(
    sequence(
      attribute(OID.organizationName, organization, utf8String),
      attribute(OID.commonName, commonName, utf8String),
      attribute(OID.nameSerialNumber, serialNumber, (text) => ascii(TAG.printableString, text)),
    ),
  )
}

/**
 * The common name, where `name` has exactly one.
 *
 * @param name a Name in strict DER, as certificates have it.
 */
export function commonNameOf(name: Uint8Array): string | undefined {
  const attributes = readDer(name).children.flatMap(({ children }) => children)
  const texts = attributes.flatMap(({ children: [type, text] }) =>
    type?.tag === TAG.oid && dottedOid(type.contents) === OID.commonName && text?.tag === TAG.utf8String ? [text] : [],
  )
  return texts.length === 1 ? texts[0]?.contents.toString('utf8') : undefined
}

/** Whether `name` is the Name without attributes. */
export function isEmptyName(name: Uint8Array): boolean {
  return name.length === 2
}

function attribute(type: string, text: string | undefined, encode: (text: string) => DerNode): DerNode | undefined {
  if (text === undefined) return undefined
  const { length } = Array.from(text)
  if (length === 0 || length > MAX_ATTRIBUTE_CHARACTERS) {
    throw new TypeError(`an attribute of a name has 1 to ${MAX_ATTRIBUTE_CHARACTERS} characters, not ${length}`)
  }
  return setOf(sequence(oid(type), encode(text)))
}
