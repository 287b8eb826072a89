import { createPrivateKey, hash, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose'
import { pkcs8Of } from '../../core/pki/key.ts'
import { IdentityError } from '../../core/runtime/errors.ts'

const KEY_BYTES = 32
const MAX_FILE_CHARACTERS = 1024

/**
 * Wraps authority keys as JWE (RFC 7516, `dir` with A256GCM): what the ledger holds of a key. Each wrap has an IV of its
 * own, and the header names the wrapping key by a fingerprint, so that a wrong one is told from a damaged store.
 */
export class KeyWrap {
  readonly #key: Uint8Array
  readonly #keyId: string

  /** @param key 32 bytes. */
  constructor(key: Uint8Array) {
    if (key.length !== KEY_BYTES) {
      throw new IdentityError('key_store_locked', `the wrapping key has ${key.length} bytes; it must have ${KEY_BYTES}`)
    }
    this.#key = key
    this.#keyId = hash('sha256', key, 'hex').slice(0, 16)
  }

  /**
   * Reads the key from a file: base64 of 32 random bytes (`openssl rand -base64 32`).
   *
   * @throws `IdentityError` `key_store_locked`. What is in the file is never repeated.
   */
  static fromFile(file: string): KeyWrap {
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch (error) {
      throw new IdentityError('key_store_locked', `the wrapping key cannot be read from ${file}`, { cause: error })
    }
    if (text.length > MAX_FILE_CHARACTERS || !/^[A-Za-z0-9+/]+={0,2}\s*$/.test(text)) {
      throw new IdentityError('key_store_locked', `${file} does not hold base64 of ${KEY_BYTES} bytes`)
    }
    return new KeyWrap(Buffer.from(text, 'base64'))
  }

  wrap(privateKey: KeyObject): Promise<string> {
    return new CompactEncrypt(pkcs8Of(privateKey))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: this.#keyId })
      .encrypt(this.#key)
  }

  /** @throws `IdentityError` `key_store_locked` if another key wrapped it, `store_corrupt` if it is damaged. */
  async unwrap(jwe: string): Promise<KeyObject> {
    const damaged = 'an authority key in the ledger is damaged; restore the ledger from a back-up'
    let wrappedBy: unknown
    try {
      wrappedBy = decodeProtectedHeader(jwe).kid
    } catch (error) {
      throw new IdentityError('store_corrupt', damaged, { cause: error })
    }
    if (wrappedBy !== this.#keyId) {
      throw new IdentityError('key_store_locked', 'the authority keys were wrapped by another key than the one given')
    }
    try {
      const { plaintext } = await compactDecrypt(jwe, this.#key, {
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM'],
      })
      return createPrivateKey({ key: Buffer.from(plaintext), format: 'der', type: 'pkcs8' })
    } catch (error) {
      throw new IdentityError('store_corrupt', damaged, { cause: error })
    }
  }
}
