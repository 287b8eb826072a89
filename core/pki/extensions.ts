import {
  ascii,
  constant,
  boolean,
  constructed,
  integer,
  octetString,
  octetStringOf,
  oid,
  primitive,
  sequence,
  type DerNode,
} from './der-encode.ts'
import { contextTag } from './der-tags.ts'
import { encodeKeyUsage, type KeyUsage } from './key-usage.ts'
import { OID } from './oid.ts'

/** GeneralName (RFC 5280 §4.2.1.6): dNSName `[2]` and uniformResourceIdentifier `[6]`, both IA5String. */
export const DNS_NAME = contextTag(2, 'primitive')
export const URI = contextTag(6, 'primitive')
/** AuthorityKeyIdentifier (RFC 5280 §4.2.1.1): keyIdentifier `[0]`. */
export const KEY_IDENTIFIER = contextTag(0, 'primitive')

/** basicConstraints, critical (RFC 5280 §4.2.1.9; X509-SVID §4.1). Of a leaf it is empty: FALSE is the default. */
export function basicConstraints({ isCa, pathLength }: { isCa: boolean; pathLength?: number | undefined }): DerNode {
  if (!isCa) return LEAF_CONSTRAINTS
  const bound = pathLength === undefined ? undefined : integer(pathLength)
  return extension(OID.basicConstraints, 'critical', sequence(boolean(true), bound))
}

/** keyUsage, critical (RFC 5280 §4.2.1.3; X509-SVID §4.3). */
export function keyUsage(usages: readonly KeyUsage[]): DerNode {
  return once(`${OID.keyUsage} ${usages.join()}`, () => extension(OID.keyUsage, 'critical', encodeKeyUsage(usages)))
}

/** extKeyUsage, not critical (RFC 5280 §4.2.1.12; X509-SVID §4.4). */
export function extendedKeyUsage(purposes: readonly string[]): DerNode {
  return once(`${OID.extendedKeyUsage} ${purposes.join()}`, () =>
    extension(OID.extendedKeyUsage, 'optional', sequence(...purposes.map(oid))),
  )
}

/** subjectKeyIdentifier, not critical (RFC 5280 §4.2.1.2). */
export function subjectKeyIdentifier(identifier: Uint8Array): DerNode {
  return extension(OID.subjectKeyIdentifier, 'optional', octetString(identifier))
}

/** authorityKeyIdentifier by key alone, not critical (RFC 5280 §4.2.1.1). */
export function authorityKeyIdentifier(identifier: Uint8Array): DerNode {
  return extension(OID.authorityKeyIdentifier, 'optional', sequence(primitive(KEY_IDENTIFIER, identifier)))
}

/**
 * subjectAltName (RFC 5280 §4.2.1.6), the URI first. Critical exactly when the subject is empty (RFC 5280 §4.1.2.6;
 * X509-SVID §3.1). All names are ASCII.
 */
export function subjectAltName(
  names: { uri?: string | undefined; dnsNames: readonly string[] },
  subject: 'empty' | 'present',
): DerNode {
  const uris = names.uri === undefined ? [] : [ascii(URI, names.uri)]
  const dnsNames = names.dnsNames.map((name) => ascii(DNS_NAME, name))
  return extension(OID.subjectAltName, subject === 'empty' ? 'critical' : 'optional', sequence(...uris, ...dnsNames))
}

/** The `[3] EXPLICIT Extensions` of a certificate. */
export function extensions(members: (DerNode | undefined)[]): DerNode {
  return constructed(contextTag(3, 'constructed'), [sequence(...members)])
}

/** Extension (RFC 5280 §4.1): `critical` is FALSE by default and then not written. */
function extension(name: string, criticality: 'critical' | 'optional', value: DerNode): DerNode {
  return sequence(oid(name), criticality === 'critical' ? boolean(true) : undefined, octetStringOf(value))
}

const LEAF_CONSTRAINTS = constant(extension(OID.basicConstraints, 'critical', sequence()))
const made = new Map<string, DerNode>()

/** What `make` makes, made once per `key`. Keys come from templates in the code, so that there are a handful. */
function once(key: string, make: () => DerNode): DerNode {
  const known = made.get(key)
  if (known) return known
  const node = constant(make())
  made.set(key, node)
  return node
}
