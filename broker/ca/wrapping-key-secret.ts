import { IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import { KeyWrap } from './key-wrap.ts'

/** Where a wrapping key is kept that the broker may make itself. */
export interface KeySecret {
  /** For messages: `Secret countersign-system/countersign-wrapping-key`. */
  readonly title: string
  /** The text of the key; `undefined` if there is no Secret; the empty text if the Secret has none. */
  read(signal: AbortSignal): Promise<string | undefined>
  /** @returns false if there is one already. */
  create(text: string, signal: AbortSignal): Promise<boolean>
}

const KEY_BYTES = 32

/**
 * The wrapping key of the Secret, which is made where there is none and nothing is sealed yet: so neither GitOps nor
 * templates need a random value. It is read back: of several brokers that start at once, one makes it.
 *
 * @param isSealed whether the ledger holds anything that a wrapping key sealed. Then a new one would lock it for good.
 * @throws `IdentityError` `key_store_locked`, `kubernetes_unavailable`, `kubernetes_forbidden`.
 */
export async function wrappingKeyFromSecret(
  secret: KeySecret,
  { isSealed, random }: { readonly isSealed: () => boolean; readonly random: Random },
  signal: AbortSignal,
): Promise<{ readonly keyWrap: KeyWrap; readonly isNew: boolean }> {
  const text = await secret.read(signal)
  if (text !== undefined) return { keyWrap: KeyWrap.fromText(text, secret.title), isNew: false }
  if (isSealed()) {
    throw new IdentityError(
      'key_store_locked',
      `there is no ${secret.title}, but the ledger holds authorities that its key sealed: restore the Secret from a back-up`,
    )
  }
  const isNew = await secret.create(`${Buffer.from(random.bytes(KEY_BYTES)).toString('base64')}\n`, signal)
  const made = await secret.read(signal)
  if (made === undefined) {
    throw new IdentityError('kubernetes_unavailable', `${secret.title} is gone as soon as it is made`, {
      retryAfterMs: 1000,
    })
  }
  return { keyWrap: KeyWrap.fromText(made, secret.title), isNew }
}
