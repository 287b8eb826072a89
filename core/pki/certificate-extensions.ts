import { IdentityError } from '../runtime/errors.ts'
import { DerCursor } from './der-cursor.ts'
import { TAG } from './der-tags.ts'
import { type DerValue, readDer } from './der.ts'
import { DNS_NAME, KEY_IDENTIFIER, URI } from './extensions.ts'
import { decodeKeyUsage, type KeyUsage } from './key-usage.ts'
import { dottedOid, OID } from './oid.ts'

/** What the extensions of a certificate say. */
export interface CertificateExtensions {
  /** Every URI of subjectAltName, as it stands. */
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  /** `undefined` without the extension, and so for every certificate that is no CA's but says nothing about it. */
  readonly basicConstraints: { readonly isCa: boolean; readonly pathLength: number | undefined } | undefined
  /** `undefined` without the extension: then RFC 5280 restricts nothing. */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined
  /** Object identifiers, dotted; `undefined` without the extension: then every purpose is allowed. */
  readonly extendedKeyUsage: readonly string[] | undefined
  readonly subjectKeyIdentifier: Buffer | undefined
  readonly authorityKeyIdentifier: Buffer | undefined
  /** Object identifiers of all extensions that are marked critical. */
  readonly criticalExtensions: ReadonlySet<string>
  /** Those that restrict the certificate in a way that is not understood here: whoever sees one must refuse (RFC 5280 §4.2). */
  readonly unknownCriticalExtensions: readonly string[]
}

/** The members while they are being read. */
type Draft = { -readonly [K in keyof CertificateExtensions]: CertificateExtensions[K] }

const READERS: Readonly<Record<string, (value: DerValue, draft: Draft) => void>> = {
  [OID.subjectAltName]: readSubjectAltName,
  [OID.basicConstraints]: readBasicConstraints,
  [OID.keyUsage]: readKeyUsage,
  [OID.extendedKeyUsage]: readExtendedKeyUsage,
  [OID.subjectKeyIdentifier]: readSubjectKeyIdentifier,
  [OID.authorityKeyIdentifier]: readAuthorityKeyIdentifier,
}

/**
 * Reads the `[3] EXPLICIT Extensions` of a certificate.
 *
 * @throws {@link IdentityError} `certificate_invalid` or `der_invalid`.
 */
export function readExtensions(value: DerValue | undefined): CertificateExtensions {
  const critical = new Set<string>()
  const unknown: string[] = []
  const draft: Draft = {
    uris: [],
    dnsNames: [],
    basicConstraints: undefined,
    keyUsage: undefined,
    extendedKeyUsage: undefined,
    subjectKeyIdentifier: undefined,
    authorityKeyIdentifier: undefined,
    criticalExtensions: critical,
    unknownCriticalExtensions: unknown,
  }
  if (!value) return draft

  const [list, ...others] = value.children
  if (list?.tag !== TAG.sequence || list.children.length === 0 || others.length > 0)
    refuse('its extensions are no list')
  const seen = new Set<string>()
  for (const extension of list.children) {
    const { name, isCritical, contents } = readExtension(extension)
    // RFC 5280 §4.2: readers would differ in which of two they believe.
    if (seen.has(name)) refuse(`it has the extension ${name} twice`)
    seen.add(name)
    if (isCritical) critical.add(name)

    const read = READERS[name]
    if (read) read(readDer(contents), draft)
    // Name constraints bind whether or not they are marked critical, as they must be (RFC 5280 §4.2.1.10).
    else if (isCritical || name === OID.nameConstraints) unknown.push(name)
  }
  return draft
}

function readExtension(value: DerValue): { name: string; isCritical: boolean; contents: Uint8Array } {
  const extension = new DerCursor(value, TAG.sequence, 'an extension')
  const name = dottedOid(extension.take(TAG.oid, 'the name').contents)
  const critical = extension.maybe(TAG.boolean)
  const { contents } = extension.take(TAG.octetString, 'the value')
  extension.end()
  // X.690 §11.5: a default is not written.
  if (critical?.contents[0] === 0) refuse(`the extension ${name} spells its default out`)
  return { name, isCritical: critical !== undefined, contents }
}

/** RFC 5280 §4.2.1.6. Names of other kinds than DNS and URI mean nothing here. */
function readSubjectAltName(value: DerValue, draft: Draft): void {
  if (value.tag !== TAG.sequence || value.children.length === 0) refuse('its subjectAltName is no list of names')
  const ofTag = (tag: number): string[] => value.children.filter((name) => name.tag === tag).map(ia5Text)
  draft.uris = ofTag(URI)
  draft.dnsNames = ofTag(DNS_NAME)
}

function ia5Text({ contents }: DerValue): string {
  if (contents.some((octet) => octet >= 0x80)) refuse('a name in its subjectAltName is not ASCII')
  return contents.toString('latin1')
}

/** RFC 5280 §4.2.1.9. */
function readBasicConstraints(value: DerValue, draft: Draft): void {
  const constraints = new DerCursor(value, TAG.sequence, 'basicConstraints')
  const isCa = constraints.maybe(TAG.boolean)
  const pathLength = constraints.maybe(TAG.integer)?.contents
  constraints.end()
  if (isCa?.contents[0] === 0) refuse('basicConstraints spells its default out')
  if (pathLength && !isCa) refuse('it bounds the path, but is no CA')
  // More than 127 certificates are no path.
  if (pathLength && (pathLength.length !== 1 || pathLength.readInt8() < 0)) refuse('its path length is out of bounds')
  draft.basicConstraints = { isCa: isCa !== undefined, pathLength: pathLength?.readInt8() }
}

/** RFC 5280 §4.2.1.3. */
function readKeyUsage(value: DerValue, draft: Draft): void {
  if (value.tag !== TAG.bitString) refuse('its keyUsage is no BIT STRING')
  draft.keyUsage = decodeKeyUsage(value.contents) ?? refuse('its keyUsage has no bits, or bits without a meaning')
}

/** RFC 5280 §4.2.1.12. */
function readExtendedKeyUsage(value: DerValue, draft: Draft): void {
  const { tag, children } = value
  if (tag !== TAG.sequence || children.length === 0 || children.some((purpose) => purpose.tag !== TAG.oid)) {
    refuse('its extKeyUsage is no list of purposes')
  }
  draft.extendedKeyUsage = children.map((purpose) => dottedOid(purpose.contents))
}

/** RFC 5280 §4.2.1.2. */
function readSubjectKeyIdentifier(value: DerValue, draft: Draft): void {
  if (value.tag !== TAG.octetString) refuse('its subjectKeyIdentifier is no OCTET STRING')
  draft.subjectKeyIdentifier = value.contents
}

/** RFC 5280 §4.2.1.1. Only the key's identifier is used. */
function readAuthorityKeyIdentifier(value: DerValue, draft: Draft): void {
  if (value.tag !== TAG.sequence) refuse('its authorityKeyIdentifier is no SEQUENCE')
  draft.authorityKeyIdentifier = value.children.find((member) => member.tag === KEY_IDENTIFIER)?.contents
}

function refuse(what: string): never {
  throw new IdentityError('certificate_invalid', `the certificate is malformed: ${what}`)
}
