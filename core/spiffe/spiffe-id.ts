import { IdentityError } from '../runtime/errors.ts'
import { TrustDomain } from './trust-domain.ts'

const SCHEME = 'spiffe://'
const MAX_BYTES = 2048
const SLASH = 0x2f
const RESERVED = '/countersign'

/**
 * A SPIFFE ID. Only a valid one exists, and two are the same exactly when their texts are.
 *
 * It is scanned by hand: `URL` resolves `..`, strips tabs, folds the scheme and hides an empty query, each of which
 * would let two readers see two identities.
 *
 * @see {@link https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md#2-spiffe-identity SPIFFE-ID §2}
 */
export class SpiffeId {
  readonly trustDomain: TrustDomain
  /** Empty for the ID of the trust domain itself, else `/` and segments: `/ns/shop/sa/cart`. */
  readonly path: string

  private constructor(trustDomain: TrustDomain, path: string) {
    this.trustDomain = trustDomain
    this.path = path
  }

  /**
   * Parses a SPIFFE ID. Nothing is normalised: a text is a SPIFFE ID exactly as it stands, or not at all.
   *
   * @example
   *
   * ```ts
   * SpiffeId.parse('spiffe://prod.example/ns/shop/sa/cart').path // '/ns/shop/sa/cart'
   * ```
   *
   * @param text at most 2048 bytes (SPIFFE-ID §2.3).
   * @throws {@link IdentityError} `spiffe_id_invalid`, saying which rule `text` breaks.
   */
  static parse(text: string): SpiffeId {
    if (text.length > MAX_BYTES) refuse(`it is longer than ${MAX_BYTES} bytes`)
    if (!text.startsWith(SCHEME)) refuse('it does not begin with spiffe://')
    const slash = text.indexOf('/', SCHEME.length)
    const end = slash === -1 ? text.length : slash
    const trustDomain = TrustDomain.parse(text.slice(SCHEME.length, end))
    const path = text.slice(end)
    checkPath(path)
    return new SpiffeId(trustDomain, path)
  }

  /**
   * The ID below `trustDomain` with these path segments; without any, that of the trust domain itself.
   *
   * @throws {@link IdentityError} `spiffe_id_invalid` if a segment is not legal as it stands (a `/` in it is not), or the
   *   whole is longer than 2048 bytes.
   */
  static of(trustDomain: TrustDomain, ...segments: readonly string[]): SpiffeId {
    for (const segment of segments) {
      if (segment.includes('/')) refuse('a segment of its path holds a slash')
    }
    const path = segments.map((segment) => `/${segment}`).join('')
    if (trustDomain.id.length + path.length > MAX_BYTES) refuse(`it is longer than ${MAX_BYTES} bytes`)
    checkPath(path)
    return new SpiffeId(trustDomain, path)
  }

  equals(other: SpiffeId): boolean {
    return this.path === other.path && this.trustDomain.equals(other.trustDomain)
  }

  isMemberOf(trustDomain: TrustDomain): boolean {
    return this.trustDomain.equals(trustDomain)
  }

  /** Whether the path begins with these whole segments: `/ns/shop` covers `/ns/shop/sa/cart`, not `/ns/shopping`. */
  isBelow(pathPrefix: string): boolean {
    return this.path === pathPrefix || this.path.startsWith(`${pathPrefix}/`)
  }

  /** Whether the ID is one of those that broker and agents keep for themselves: `/countersign` and all below it. */
  get isReserved(): boolean {
    return this.isBelow(RESERVED)
  }

  toString(): string {
    return this.trustDomain.id + this.path
  }

  toJSON(): string {
    return this.toString()
  }
}

/** SPIFFE-ID §2.2: empty, or segments that each begin with a slash, none of them empty, `.` or `..`. */
function checkPath(path: string): void {
  let segment = 1
  for (let index = 0; index <= path.length && path !== ''; index += 1) {
    const code = index < path.length ? path.charCodeAt(index) : SLASH
    if (code !== SLASH) {
      if (!isLegal(code)) refuse(`only A-Z a-z 0-9 . - _ are legal in its path, not the character at ${index} of it`)
    } else if (index > 0) {
      checkSegment(path.slice(segment, index))
      segment = index + 1
    }
  }
}

function checkSegment(segment: string): void {
  if (segment === '') refuse('its path has an empty segment or ends with a slash')
  if (segment === '.' || segment === '..') refuse('its path has a segment that is . or ..')
}

/** SPIFFE-ID §2.2: `A-Z a-z 0-9 . - _`. */
function isLegal(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x2e ||
    code === 0x2d ||
    code === 0x5f
  )
}

function refuse(why: string): never {
  throw new IdentityError('spiffe_id_invalid', `not a SPIFFE ID: ${why}`)
}
