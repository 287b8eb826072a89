import { IdentityError } from '../runtime/errors.ts'

const MAX_BYTES = 255

/**
 * A trust domain: the part of a SPIFFE ID that names whose authority stands behind it. Only a valid one exists.
 *
 * @see {@link https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md#21-trust-domain SPIFFE-ID §2.1}
 */
export class TrustDomain {
  readonly #name: string

  private constructor(name: string) {
    this.#name = name
  }

  /**
   * Parses the bare name, for example `prod.example`: lower-case letters, digits, dots, dashes and underscores. Nothing
   * is folded or trimmed. It may look like a DNS name or an IP address, and is not treated differently for it.
   *
   * @param text 1 to 255 bytes (SPIFFE-ID §2.3 with RFC 3986 §3.2.2).
   * @throws {@link IdentityError} `spiffe_id_invalid`.
   */
  static parse(text: string): TrustDomain {
    if (text.length === 0) refuse('it is empty')
    // Every legal character is one byte, so that characters may be counted before they are looked at.
    if (text.length > MAX_BYTES) refuse(`it is longer than ${MAX_BYTES} bytes`)
    for (let index = 0; index < text.length; index += 1) {
      if (!isLegal(text.charCodeAt(index))) refuse(`only a-z 0-9 . - _ are legal in it, not the character at ${index}`)
    }
    return new TrustDomain(text)
  }

  /** Its own SPIFFE ID, without a path: what bundles are keyed by on the Workload API. */
  get id(): string {
    return `spiffe://${this.#name}`
  }

  equals(other: TrustDomain): boolean {
    return this.#name === other.#name
  }

  /** The bare name. */
  toString(): string {
    return this.#name
  }

  toJSON(): string {
    return this.#name
  }
}

/** SPIFFE-ID §2.1: `a-z 0-9 . - _`. */
function isLegal(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x2e || code === 0x2d || code === 0x5f
  )
}

function refuse(why: string): never {
  throw new IdentityError('spiffe_id_invalid', `not a trust domain: ${why}`)
}
