import { z } from 'zod'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { spkiOf } from '../../core/pki/key.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { AuthoritySlot, Slots } from './authority-slot.ts'
import type { KeyWrap } from './key-wrap.ts'

const base64 = z.base64()
const slotSchema = z.strictObject({
  keyId: z.string().regex(/^[0-9a-f]+$/),
  state: z.enum(['prepared', 'active', 'old']),
  certificate: base64,
  chain: z.array(base64),
  anchor: base64,
  wrappedKey: z.string(),
  preparedAt: z.iso.datetime(),
  trustedUntil: z.iso.datetime().optional(),
})
const documentSchema = z.strictObject({ authorities: z.array(slotSchema), bundleSequence: z.int().positive() })

/** The authorities as the text that the ledger keeps. Their keys are in it as JWE alone. */
export function slotsToDocument({ slots, bundleSequence }: Slots): string {
  const text = (der: Uint8Array) => Buffer.from(der).toString('base64')
  const document: z.input<typeof documentSchema> = {
    authorities: slots.map(({ keyId, state, certificate, chain, anchor, wrappedKey, preparedAt, trustedUntil }) => ({
      keyId,
      state,
      certificate: text(certificate.der),
      chain: chain.map(({ der }) => text(der)),
      anchor: text(anchor.der),
      wrappedKey,
      preparedAt: preparedAt.toISOString(),
      ...(trustedUntil && { trustedUntil: trustedUntil.toISOString() }),
    })),
    bundleSequence,
  }
  return JSON.stringify(document)
}

/** @throws `IdentityError` `store_corrupt`, or `key_store_locked` if the keys were wrapped by another key. */
export async function slotsFromDocument(text: string, keyWrap: KeyWrap): Promise<Slots> {
  try {
    const { authorities, bundleSequence } = documentSchema.parse(JSON.parse(text))
    return { slots: await Promise.all(authorities.map((stored) => slotOf(stored, keyWrap))), bundleSequence }
  } catch (error) {
    if (error instanceof IdentityError && error.code === 'key_store_locked') throw error
    throw new IdentityError('store_corrupt', 'the authorities in the ledger are damaged; restore it from a back-up', {
      cause: error,
    })
  }
}

async function slotOf(stored: z.output<typeof slotSchema>, keyWrap: KeyWrap): Promise<AuthoritySlot> {
  const certificateOf = (text: string) => parseCertificate(Buffer.from(text, 'base64'))
  const certificate = certificateOf(stored.certificate)
  const privateKey = await keyWrap.unwrap(stored.wrappedKey)
  if (!spkiOf(privateKey).equals(certificate.spki)) throw new TypeError('the key is not that of the certificate')
  return {
    keyId: stored.keyId,
    state: stored.state,
    certificate,
    chain: stored.chain.map(certificateOf),
    anchor: certificateOf(stored.anchor),
    privateKey,
    wrappedKey: stored.wrappedKey,
    preparedAt: new Date(stored.preparedAt),
    trustedUntil: stored.trustedUntil === undefined ? undefined : new Date(stored.trustedUntil),
  }
}
