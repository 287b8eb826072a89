import { KeyWrap, looseModeOf } from './ca/key-wrap.ts'
import { wrappingKeyFromSecret } from './ca/wrapping-key-secret.ts'
import type { BrokerConfig } from './config.ts'
import type { Kubernetes } from './kubernetes/connect.ts'
import { keySecret } from './kubernetes/key-secret.ts'
import { ledgerHasBegun } from './ledger/has-begun.ts'
import { type Patience, withPatience } from './patience.ts'

/**
 * The wrapping key, from its file or its Secret. An API server that is away, or that does not let us read the Secret, is
 * waited for; a key that is lost does not come by waiting.
 *
 * @throws `IdentityError` `key_store_locked`.
 */
export async function startKeyWrap(
  { authority: { wrappingKeyFile: file, wrappingKeySecret: reference }, ledger }: BrokerConfig,
  kubernetes: Kubernetes | undefined,
  patience: Patience,
): Promise<KeyWrap> {
  const { log, random, signal } = patience
  if (file !== undefined) {
    const keyWrap = KeyWrap.fromFile(file)
    const mode = looseModeOf(file)
    if (mode !== undefined) log.warn({ file, mode }, 'others than its owner may read or change the wrapping key')
    return keyWrap
  }
  if (reference === undefined || !kubernetes) throw new TypeError('the configuration was checked for this')
  const secret = keySecret(kubernetes.api, reference)
  const isSealed = () => ledgerHasBegun(ledger.file)
  const { keyWrap, isNew } = await withPatience(
    'the wrapping key',
    () => wrappingKeyFromSecret(secret, { isSealed, random }, signal),
    patience,
  )
  if (isNew) log.info({ secret: reference }, 'a wrapping key was made; back it up, the ledger is lost without it')
  return keyWrap
}
