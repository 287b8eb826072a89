import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from 'node:crypto'
import type { TokenFacts } from '../../broker/attestation/attested.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'

/** What a token is made for. */
export interface MintOptions {
  /** The ServiceAccount; a pod and its node as well, unless the token is to be unbound. */
  readonly facts: Pick<TokenFacts, 'namespace' | 'serviceAccount' | 'serviceAccountUid'> & Partial<TokenFacts>
  readonly audience: string
  /** Default: an hour, as kubelet asks for. */
  readonly lifetimeSeconds?: number
  /** Default: now. */
  readonly issuedAt?: Date
}

export type Claims = Record<string, unknown>

interface Key {
  readonly id: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** Makes ServiceAccount tokens of exactly the shape that the API server gives them: RS256, private claims and all. */
export class TokenIssuer {
  readonly issuer: string
  readonly #clock: Clock
  #keys: readonly [Key, ...Key[]]

  constructor({ issuer = 'https://kubernetes.default.svc.cluster.local', clock = systemClock }: IssuerOptions = {}) {
    this.issuer = issuer
    this.#clock = clock
    this.#keys = [newKey()]
  }

  /** A token as kubelet would get it. */
  mint(options: MintOptions): string {
    return this.sign(this.claimsOf(options))
  }

  /** The claims of such a token, for a test to change one of them. */
  claimsOf({ facts, audience, lifetimeSeconds = 3600, issuedAt = this.#clock.now() }: MintOptions): Claims {
    const { namespace, serviceAccount, serviceAccountUid, podName, podUid, nodeName, nodeUid } = facts
    const iat = Math.floor(issuedAt.getTime() / 1000)
    return {
      aud: [audience],
      exp: iat + lifetimeSeconds,
      iat,
      iss: this.issuer,
      jti: facts.tokenId ?? randomUUID(),
      'kubernetes.io': {
        namespace,
        ...(nodeName !== undefined && { node: { name: nodeName, uid: nodeUid } }),
        ...(podName !== undefined && { pod: { name: podName, uid: podUid } }),
        serviceaccount: { name: serviceAccount, uid: serviceAccountUid },
      },
      nbf: iat,
      sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
    }
  }

  /** Signs whatever it is given. */
  sign(claims: Claims, header: Claims = {}): string {
    const [{ id, privateKey }] = this.#keys
    const signed = `${encode({ alg: 'RS256', kid: id, ...header })}.${encode(claims)}`
    return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`
  }

  /** The claims of a token that one of the keys has signed. */
  verify(token: string): Claims | undefined {
    const [header = '', body = '', signature = ''] = token.split('.')
    try {
      const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid?: string }
      const key = this.#keys.find(({ id }) => id === kid)
      const bytes = Buffer.from(signature, 'base64url')
      if (!key || !verify('sha256', Buffer.from(`${header}.${body}`), key.publicKey, bytes)) return undefined
      return JSON.parse(Buffer.from(body, 'base64url').toString()) as Claims
    } catch {
      return undefined
    }
  }

  /** Signs with a new key from now on. The old one leaves the JWKS. */
  replaceKey(): void {
    this.#keys = [newKey()]
  }

  /** The JWK Set, as `/openid/v1/jwks` publishes it. */
  jwks(): { keys: Record<string, unknown>[] } {
    return {
      keys: this.#keys.map(({ id, publicKey }) => ({
        ...publicKey.export({ format: 'jwk' }),
        use: 'sig',
        kid: id,
        alg: 'RS256',
      })),
    }
  }
}

/** Who issues, and when it is. */
export interface IssuerOptions {
  readonly issuer?: string
  readonly clock?: Clock
}

/** The API server names a key by the hash of its SubjectPublicKeyInfo. */
function newKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  return { id: createHash('sha256').update(spki).digest('base64url'), privateKey, publicKey }
}

function encode(value: Claims): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
