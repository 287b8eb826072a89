import { createPrivateKey } from 'node:crypto'
import { z } from 'zod'
import { type Certificate, parseCertificate } from '../../core/pki/certificate.ts'
import { verifyChain } from '../../core/pki/chain.ts'
import { pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { authorityViolations } from '../../core/spiffe/x509-svid-rules.ts'
import type { AuthoritySlot, Slots } from './authority-slot.ts'
import type { KeyWrap } from './key-wrap.ts'

const base64 = z.base64()
const slotSchema = z.strictObject({
  keyId: z.string().regex(/^[0-9a-f]+$/),
  state: z.enum(['prepared', 'active', 'old']),
  certificate: base64,
  chain: z.array(base64),
  anchor: base64,
  privateKey: base64,
  preparedAt: z.iso.datetime(),
  longestLeafMs: z.number().positive().optional(),
  trustedUntil: z.iso.datetime().optional(),
})
const documentSchema = z.strictObject({ authorities: z.array(slotSchema), bundleSequence: z.int().positive() })

/** The authorities as the text that the ledger keeps: sealed as a whole, for an anchor is as dear as a key. */
export function slotsToDocument({ slots, bundleSequence }: Slots, keyWrap: KeyWrap): Promise<string> {
  const text = (der: Uint8Array) => Buffer.from(der).toString('base64')
  const document: z.input<typeof documentSchema> = {
    authorities: slots.map((slot) => ({
      keyId: slot.keyId,
      state: slot.state,
      certificate: text(slot.certificate.der),
      chain: slot.chain.map(({ der }) => text(der)),
      anchor: text(slot.anchor.der),
      privateKey: text(pkcs8Of(slot.privateKey)),
      preparedAt: slot.preparedAt.toISOString(),
      longestLeafMs: slot.longestLeafMs,
      trustedUntil: slot.trustedUntil?.toISOString(),
    })),
    bundleSequence,
  }
  return keyWrap.seal(JSON.stringify(document))
}

/** @throws `IdentityError` `store_corrupt`, or `key_store_locked` if another key sealed it. */
export async function slotsFromDocument(sealed: string, keyWrap: KeyWrap): Promise<Slots> {
  const text = await keyWrap.unseal(sealed)
  try {
    const { authorities, bundleSequence } = documentSchema.parse(JSON.parse(text))
    const slots = authorities.map(slotOf)
    checkStates(slots)
    return { slots, bundleSequence }
  } catch (error) {
    // What was wrong is said without the text, which holds keys (invariant 6).
    const why = error instanceof TypeError || error instanceof IdentityError ? `: ${error.message}` : ''
    throw new IdentityError(
      'store_corrupt',
      `the authorities in the ledger are not as they should be${why}; restore it from a back-up`,
    )
  }
}

function slotOf(stored: z.output<typeof slotSchema>): AuthoritySlot {
  const certificateOf = (text: string) => parseCertificate(Buffer.from(text, 'base64'))
  const certificate = certificateOf(stored.certificate)
  const privateKey = privateKeyOf(stored.privateKey)
  if (!spkiOf(privateKey).equals(certificate.spki)) throw new TypeError('a key is not that of its certificate')
  if (certificate.subjectKeyIdentifier?.toString('hex') !== stored.keyId) {
    throw new TypeError('an authority has the name of another')
  }
  const chain = stored.chain.map(certificateOf)
  const anchor = certificateOf(stored.anchor)
  checkPath(certificate, chain, anchor)
  if ((stored.trustedUntil !== undefined) !== (stored.state === 'old')) {
    throw new TypeError('an authority that is not old has an end of trust, or an old one has none')
  }
  return {
    keyId: stored.keyId,
    state: stored.state,
    certificate,
    chain,
    anchor,
    privateKey,
    preparedAt: new Date(stored.preparedAt),
    longestLeafMs: stored.longestLeafMs,
    trustedUntil: stored.trustedUntil === undefined ? undefined : new Date(stored.trustedUntil),
  }
}

function privateKeyOf(text: string) {
  try {
    return createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' })
  } catch {
    throw new TypeError('a key cannot be read')
  }
}

/** An authority is its own anchor, or its chain leads to it; as of its own beginning, for it may have ended since. */
function checkPath(certificate: Certificate, chain: readonly Certificate[], anchor: Certificate): void {
  const [violation] = authorityViolations(certificate)
  if (violation) throw new TypeError(violation)
  if (chain.length === 0) {
    if (!anchor.der.equals(certificate.der)) throw new TypeError('an anchor does not belong to its authority')
    return
  }
  if (!chain[0]?.der.equals(certificate.der)) throw new TypeError('a chain does not begin with its authority')
  verifyChain(chain, [anchor], certificate.notBefore)
}

function checkStates(slots: readonly AuthoritySlot[]): void {
  const count = (state: AuthoritySlot['state']) => slots.filter((slot) => slot.state === state).length
  if (count('active') > 1) throw new TypeError('more than one authority is active')
  if (count('prepared') > 1) throw new TypeError('more than one authority is prepared')
  if (new Set(slots.map(({ keyId }) => keyId)).size < slots.length) throw new TypeError('an authority is there twice')
}
