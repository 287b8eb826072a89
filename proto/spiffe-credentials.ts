import type { Buffer } from 'node:buffer'
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { CallCredentials, ChannelCredentials, type experimental } from '@grpc/grpc-js'
import type { Clock } from '../core/runtime/clock.ts'
import { IdentityError } from '../core/runtime/errors.ts'

/** What we present to the broker. */
export interface ClientSvid {
  /** PEM, leaf first. */
  readonly certificateChain: string
  /** PEM of PKCS#8. */
  readonly privateKey: string
}

/** Judges the peer's chain (DER, leaf first); throws if it is not the broker. */
export type VerifyPeer = (chain: readonly Buffer[]) => void

/** Post-quantum first (design §5). */
const KEY_EXCHANGES = 'X25519MLKEM768:X25519:P-256'
/** A chain is at most this long; what comes after is not looked at, and so not trusted. */
const MAX_CHAIN = 8
/** Whoever takes longer is not the broker, or of no use. */
export const HANDSHAKE_MS = 10_000

interface Options {
  readonly verify: VerifyPeer
  readonly svid?: ClientSvid | undefined
  readonly clock: Clock
}

/**
 * TLS 1.3 to the broker, whom we know by its SPIFFE ID and no host name. OpenSSL's own verification is off, for it can
 * neither choose a bundle by trust domain nor believe an intermediate; the chain is judged here, after the handshake and
 * before a byte is written. A session is never offered for resumption, which would skip that judgement (invariant 8).
 */
export class SpiffeCredentials extends ChannelCredentials {
  readonly #verify: VerifyPeer
  readonly #svid: ClientSvid | undefined
  readonly #clock: Clock
  #failure: unknown

  constructor({ verify, svid, clock }: Options) {
    super()
    this.#verify = verify
    this.#svid = svid
    this.#clock = clock
  }

  /** Why the last attempt to connect failed; gRPC keeps only its words. */
  get failure(): unknown {
    return this.#failure
  }

  override _isSecure(): boolean {
    return true
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other
  }

  override _createSecureConnector(): experimental.SecureConnector {
    const closing = new AbortController()
    return {
      connect: async (socket) => {
        try {
          return { socket: await this.#handshakeInTime(socket, closing.signal), secure: true }
        } catch (error) {
          this.#failure = error
          throw error
        }
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => CallCredentials.createEmpty(),
      destroy: () => closing.abort(new IdentityError('broker_unavailable', 'the channel was closed')),
    }
  }

  /** Neither a peer that says nothing nor a channel that was closed meanwhile leaves a socket behind. */
  async #handshakeInTime(socket: Socket, closing: AbortSignal): Promise<TLSSocket> {
    const done = new AbortController()
    const late = this.#clock.sleep(HANDSHAKE_MS, AbortSignal.any([closing, done.signal])).then(() => {
      throw new IdentityError('broker_unavailable', 'the broker did not complete the TLS handshake in time')
    })
    const secured = this.#handshake(socket)
    try {
      return await Promise.race([late, secured])
    } catch (error) {
      secured.catch(() => {})
      socket.destroy()
      throw error
    } finally {
      done.abort()
      late.catch(() => {})
    }
  }

  #handshake(socket: Socket): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const secured = connect({
        socket,
        ALPNProtocols: ['h2'],
        minVersion: 'TLSv1.3',
        ecdhCurve: KEY_EXCHANGES,
        rejectUnauthorized: false,
        // Without a list, Node would load all roots of the public web for nothing.
        ca: [],
        ...(this.#svid && { cert: this.#svid.certificateChain, key: this.#svid.privateKey }),
      })
      secured.on('error', reject)
      secured.once('secureConnect', () => {
        try {
          this.#judge(secured)
          resolve(secured)
        } catch (error) {
          secured.destroy()
          reject(error)
        }
      })
    })
  }

  #judge(secured: TLSSocket): void {
    if (secured.isSessionReused()) throw new IdentityError('chain_untrusted', 'a TLS session was resumed')
    if (secured.alpnProtocol !== 'h2') throw new IdentityError('broker_unavailable', 'the broker does not speak HTTP/2')
    this.#verify(chainOf(secured.getPeerX509Certificate()))
  }
}

function chainOf(leaf: X509Certificate | undefined): Buffer[] {
  const chain: Buffer[] = []
  for (let next = leaf; next && chain.length < MAX_CHAIN; next = next.issuerCertificate) {
    const { raw } = next
    if (chain.some((der) => der.equals(raw))) break
    chain.push(raw)
  }
  return chain
}
