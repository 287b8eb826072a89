import { Buffer } from 'node:buffer'
import type { KeyObject } from 'node:crypto'
import { createCsr } from '../../core/pki/csr.ts'
import { generateKeyPair, KEY_TYPES, pkcs8Of, spkiOf, type KeyType } from '../../core/pki/key.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { verifyX509Svid, type VerifiedX509Svid } from '../../core/spiffe/x509-svid.ts'
import type { IssuedSvid, IssueSvid, Urgency } from './svid-issuing.ts'
import type { Bundles, PodRef, SvidMaterial } from './workload.ts'

/** For whom, and how urgently. */
export interface Wanted {
  readonly pod: PodRef
  readonly token: string
  /** The type to begin with; the template has the last word. */
  readonly keyType: KeyType
  readonly urgency: Urgency
  readonly expiresAtMs: number
}

/** What is needed of the surroundings. */
export interface Issuing {
  readonly issue: IssueSvid
  /** The bundles that are enforced now; what is issued must lead to them. */
  readonly bundles: () => Bundles
  /** The wall clock, put right by the broker's, to validate by. */
  readonly now: () => Date
}

/** A new SVID and what it took. */
export interface Obtained {
  readonly svid: SvidMaterial
  readonly keyType: KeyType
  readonly lifetimeMs: number | undefined
}

/**
 * Makes a key on this node (it never leaves it), has an SVID issued for it, and believes the answer only if it is about
 * this key and leads to the bundle that readers have: nobody is ever handed a pair that does not fit, or a certificate
 * that their peers cannot verify yet.
 *
 * A template that demands another type of key says so by `key_type_required`: then such a key is made, once.
 */
export async function obtainSvid(wanted: Wanted, issuing: Issuing, signal: AbortSignal): Promise<Obtained> {
  try {
    return await obtainWith(wanted.keyType, wanted, issuing, signal)
  } catch (error) {
    const demanded = demandedKeyType(error)
    if (demanded === undefined || demanded === wanted.keyType) throw error
    return obtainWith(demanded, wanted, issuing, signal)
  }
}

async function obtainWith(keyType: KeyType, wanted: Wanted, issuing: Issuing, signal: AbortSignal): Promise<Obtained> {
  const { privateKey } = await generateKeyPair(keyType)
  const { pod, token, urgency, expiresAtMs } = wanted
  const issued = await issuing.issue({ pod, token, csr: createCsr(privateKey), urgency, expiresAtMs }, signal)
  return { svid: checked(issued, privateKey, issuing), keyType, lifetimeMs: issued.lifetimeMs }
}

/** The proto's limit. The hint is a file of the volume, and one that is too large could not be read again. */
const MAX_HINT_BYTES = 1024

/** The answer with its key, if it keeps every rule. What does not is the broker's fault, not the pod's. */
function checked(issued: IssuedSvid, privateKey: KeyObject, { bundles, now }: Issuing): SvidMaterial {
  const { id, leaf } = verified(issued.chain, bundles().own, now())
  if (!spkiOf(privateKey).equals(leaf.spki))
    throw new IdentityError('certificate_invalid', 'the broker certified another key than the one asked for')
  // AW-07: the ID that is told is that of the certificate, byte for byte.
  if (id.toString() !== issued.spiffeId)
    throw new IdentityError('certificate_invalid', 'the broker names another SPIFFE ID than its certificate')
  if (id.isReserved)
    throw new IdentityError('spiffe_id_reserved', 'a workload is never given an ID of broker or agents')
  if (Buffer.byteLength(issued.hint) > MAX_HINT_BYTES)
    throw new IdentityError('certificate_invalid', `the broker sent a hint of more than ${MAX_HINT_BYTES} bytes`)
  return {
    id,
    chain: issued.chain,
    privateKey: pkcs8Of(privateKey),
    notAfter: leaf.notAfter,
    hint: issued.hint,
    serialNumber: leaf.serialNumber,
  }
}

/**
 * A chain that leads nowhere yet is a matter of moments: the broker's bundle is still on its way. Readers would see a
 * certificate that they cannot verify, so it is asked for again rather than delivered.
 */
function verified(chain: readonly Uint8Array[], own: X509Bundle, at: Date): VerifiedX509Svid {
  try {
    return verifyX509Svid(chain, (domain) => (domain.equals(own.trustDomain) ? own : undefined), at)
  } catch (error) {
    if (codeOf(error) !== 'chain_untrusted') throw error
    throw new IdentityError('authority_unavailable', 'the SVID does not lead to the bundle that is held now', {
      cause: error,
    })
  }
}

function demandedKeyType(error: unknown): KeyType | undefined {
  if (!(error instanceof IdentityError) || error.code !== 'key_type_required') return undefined
  return KEY_TYPES.find((type) => type === error.facts['keyType'])
}
