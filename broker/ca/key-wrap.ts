import { hkdfSync } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose'
import { IdentityError } from '../../core/runtime/errors.ts'

const KEY_BYTES = 32
const MAX_FILE_CHARACTERS = 1024

/**
 * Who may read the wrapping key besides its owner, or `undefined`: to be warned of, since all that the ledger seals is
 * theirs too. (A symbolic link is followed: Kubernetes mounts its Secrets so.)
 */
export function looseModeOf(file: string): string | undefined {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0
  return mode & 0o077 ? (mode & 0o777).toString(8).padStart(4, '0') : undefined
}

/** The wrapping key itself encrypts nothing: each use has a key of its own derived from it (RFC 5869). */
function derived(wrappingKey: Uint8Array, info: string, length = KEY_BYTES): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', wrappingKey, '', `countersign ${info} v1`, length))
}

/**
 * Seals the authorities, keys, certificates and states alike, as one JWE (RFC 7516, `dir` with A256GCM): what the ledger
 * holds can be neither read nor changed without the wrapping key. Each seal has an IV of its own, and the header names
 * the wrapping key by a fingerprint, so that a wrong one is told from a damaged store.
 */
export class KeyWrap {
  readonly #key: Uint8Array
  readonly #keyId: string
  /** What the ledger's audit chain is keyed with. */
  readonly auditKey: { readonly id: string; readonly key: Uint8Array }

  /** @param key 32 bytes. */
  constructor(key: Uint8Array) {
    if (key.length !== KEY_BYTES) {
      throw new IdentityError('key_store_locked', `the wrapping key has ${key.length} bytes; it must have ${KEY_BYTES}`)
    }
    this.#key = derived(key, 'authorities')
    this.#keyId = Buffer.from(derived(key, 'key id', 8)).toString('hex')
    this.auditKey = { id: this.#keyId, key: derived(key, 'audit chain') }
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
    return KeyWrap.fromText(text, file)
  }

  /** As {@link fromFile}, of what `where` holds. */
  static fromText(text: string, where: string): KeyWrap {
    if (text.length > MAX_FILE_CHARACTERS || !/^[A-Za-z0-9+/]+={0,2}\s*$/.test(text)) {
      throw new IdentityError('key_store_locked', `${where} does not hold base64 of ${KEY_BYTES} bytes`)
    }
    const key = Buffer.from(text, 'base64')
    if (key.length !== KEY_BYTES) {
      throw new IdentityError(
        'key_store_locked',
        `${where} holds ${key.length} bytes in base64; ${KEY_BYTES} are needed`,
      )
    }
    return new KeyWrap(key)
  }

  seal(text: string): Promise<string> {
    return new CompactEncrypt(Buffer.from(text))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: this.#keyId })
      .encrypt(this.#key)
  }

  /** @throws `IdentityError` `key_store_locked` if another key sealed it, `store_corrupt` if it was changed since. */
  async unseal(jwe: string): Promise<string> {
    const damaged = 'the authorities in the ledger are damaged; restore the ledger from a back-up'
    let sealedBy: unknown
    try {
      sealedBy = decodeProtectedHeader(jwe).kid
    } catch (error) {
      throw new IdentityError('store_corrupt', damaged, { cause: error })
    }
    if (sealedBy !== this.#keyId) {
      throw new IdentityError('key_store_locked', 'the authorities were sealed with another wrapping key')
    }
    try {
      const { plaintext } = await compactDecrypt(jwe, this.#key, {
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM'],
      })
      return Buffer.from(plaintext).toString('utf8')
    } catch (error) {
      throw new IdentityError('store_corrupt', damaged, { cause: error })
    }
  }
}
