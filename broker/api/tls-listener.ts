import { constants } from 'node:crypto'
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net'
import { createSecureContext, createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls'
import type { Clock } from '../../core/runtime/clock.ts'
import { pemEncode } from '../../core/pki/pem.ts'
import { cannotListen } from '../../core/runtime/listening.ts'
import { CostlyPeers } from './costly-peers.ts'
import type { Wire } from './flood-watch.ts'
import { PeerSlots } from './peer-slots.ts'
import { isErrno } from './socket-error.ts'

/** The certificate that we show, and its key. */
export interface ServerCredentials {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8, DER. */
  readonly privateKey: Uint8Array
}

export interface ListenerLimits {
  /** Connections at the same time. */
  readonly maxConnections: number
  /** Of these, how many may be in their handshake: signatures are what an attacker makes us spend. */
  readonly maxHandshakes: number
  /** Of these, how many from one address. */
  readonly maxHandshakesPerAddress: number
  readonly handshakeTimeoutMs: number
}

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly limits: ListenerLimits
  /** A connection whose peer has proven `chain` (DER, leaf first; empty without one). Nothing has been read from it. */
  readonly accept: (socket: TLSSocket, chain: readonly Uint8Array[], wire: Wire) => void
  /** A connection that came to nothing, and why in one word. */
  readonly onRefused: (reason: 'handshake' | 'timeout' | 'protocol' | 'limit' | 'certificate' | 'flood') => void
  /** The listener could not take a connection, for want of descriptors say. It listens on. */
  readonly onError: (error: Error) => void
  readonly clock: Clock
}

/** A peer that means it sends its ClientHello with its first packet. */
const SILENT_MS = 3_000
const LOOK_EVERY_MS = 1_000

/**
 * The broker's own TLS server (design §5): TLS 1.3 alone, a hybrid post-quantum group preferred, the client's certificate
 * asked for and judged by us, sessions never resumed (invariant 8).
 */
export class TlsListener {
  readonly #tcp: TcpServer
  /** Has no port of its own: connections are handed to it. */
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #handshakes: PeerSlots
  #isLooking = false

  static async listen(credentials: ServerCredentials, options: ListenerOptions): Promise<TlsListener> {
    const listener = new TlsListener(credentials, options)
    await new Promise<void>((resolve, reject) => {
      listener.#tcp.once('error', (error) => reject(cannotListen(options, error)))
      listener.#tcp.listen({ host: options.host, port: options.port }, resolve)
    })
    // Errors of accepting come here as well; without a listener each would end the process.
    listener.#tcp.on('error', options.onError)
    return listener
  }

  private constructor(credentials: ServerCredentials, options: ListenerOptions) {
    const { limits, accept, onRefused, clock } = options
    this.#tcp = createTcpServer({ noDelay: true })
    this.#server = createServer({
      ...contextOptions(credentials),
      // Not `ALPNProtocols`: of these each connection keeps a copy, and with it a slab of 64 KiB that other buffers share.
      ALPNCallback: ({ protocols }) => (protocols.includes('h2') ? 'h2' : undefined),
      requestCert: true,
      // A certificate that OpenSSL does not like is judged by us all the same, so that every refusal has its code.
      rejectUnauthorized: false,
      handshakeTimeout: limits.handshakeTimeoutMs,
    })
    this.#tcp.maxConnections = limits.maxConnections
    const { maxHandshakes: max, maxHandshakesPerAddress: maxPerAddress } = limits
    this.#handshakes = new PeerSlots(clock, { max, maxPerAddress })
    /** The sockets below TLS, by what is known of them above it. */
    const raw = new Map<string, Socket>()
    const costly = new CostlyPeers(clock)
    const secured = new WeakSet<Socket>()
    this.#tcp.on('connection', (socket: Socket) => {
      const peer = socket.remoteAddress
      if (costly.isKeptOut(peer)) {
        onRefused('limit')
        socket.destroy()
        return
      }
      const victim = this.#handshakes.take(socket, peer)
      if (victim) {
        onRefused('limit')
        victim.destroy()
        if (victim === socket) return
      }
      const name = nameOf(socket)
      raw.set(name, socket)
      this.#sockets.add(socket)
      void this.#dropSilent(options)
      socket.once('close', () => {
        this.#sockets.delete(socket)
        this.#handshakes.release(socket)
        if (raw.get(name) === socket) raw.delete(name)
        if (!secured.has(socket)) costly.failed(peer, socket.bytesRead)
      })
      this.#secureOnceHeard(socket, onRefused)
    })
    this.#tcp.on('drop', () => onRefused('limit'))
    this.#server.on('secureConnection', (socket) => {
      const peer = socket.remoteAddress
      const below = raw.get(nameOf(socket))
      if (below) {
        this.#handshakes.release(below)
        secured.add(below)
      }
      // Without a listener an error of the connection would end the process.
      socket.on('error', () => {})
      if (socket.alpnProtocol !== 'h2' || socket.isSessionReused()) {
        onRefused('protocol')
        socket.destroy()
        return
      }
      const chain = peerChain(socket)
      const flooded = () => {
        costly.flooded(peer)
        onRefused('flood')
      }
      const wire = {
        get bytesRead() {
          return below?.bytesRead ?? 0
        },
        flooded,
      }
      if (costly.proved(peer, chain)) return accept(socket, chain, wire)
      onRefused('certificate')
      socket.destroy()
    })
    this.#server.on('tlsClientError', (error, socket) => {
      onRefused(isErrno(error, 'ERR_TLS_HANDSHAKE_TIMEOUT') ? 'timeout' : 'handshake')
      socket.destroy()
    })
  }

  get port(): number {
    return (this.#tcp.address() as AddressInfo).port
  }

  /** Shows other credentials from now on; connections that are there keep theirs. */
  renew(credentials: ServerCredentials): void {
    this.#server.setSecureContext(contextOptions(credentials))
  }

  /** Takes no new connections. Those that are there stay. */
  stopAccepting(): void {
    this.#tcp.close()
  }

  /** Ends every connection that is left. */
  destroy(): void {
    this.stopAccepting()
    for (const socket of this.#sockets) socket.destroy()
  }

  /**
   * TLS begins with what has come by then: Node gives it a buffer of that size, and keeps it as long as the connection is
   * there. Where it reads for itself, that is one of 64 KiB.
   */
  #secureOnceHeard(socket: Socket, onRefused: ListenerOptions['onRefused']): void {
    // Without a listener an error of the connection would end the process.
    socket.on('error', () => {
      if (socket.bytesRead === 0) onRefused('handshake')
    })
    socket.once('readable', () => {
      if (socket.readableLength > 0) this.#server.emit('connection', socket)
      else {
        onRefused('handshake')
        socket.destroy()
      }
    })
  }

  /** While there are handshakes, looks every now and then for those that have not begun. */
  async #dropSilent({ clock, limits, onRefused }: ListenerOptions): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    while (this.#handshakes.size > 0) {
      await clock.sleep(LOOK_EVERY_MS)
      for (const socket of this.#handshakes.silentFor(Math.min(SILENT_MS, limits.handshakeTimeoutMs))) {
        onRefused('timeout')
        socket.destroy()
      }
    }
    this.#isLooking = false
  }
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

function contextOptions({ chain, privateKey }: ServerCredentials): SecureContextOptions {
  const options: SecureContextOptions = {
    cert: chain.map((der) => pemEncode('CERTIFICATE', der)).join(''),
    key: pemEncode('PRIVATE KEY', privateKey),
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ecdhCurve: 'X25519MLKEM768:X25519:prime256v1',
    ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
    // No tickets; and there is no store of sessions, so that those without a ticket find nothing either.
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
  // Made once here so that credentials that do not fit are refused by whoever renews, not by a later handshake.
  createSecureContext(options)
  return options
}

/** What the peer sent, leaf first. */
function peerChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = []
  let certificate = socket.getPeerX509Certificate()
  // A root that is its own issuer ends the list; so does the bound, for what comes after it is not looked at.
  while (certificate && chain.length < 9) {
    chain.push(certificate.raw)
    const issuer: typeof certificate | undefined = certificate.issuerCertificate
    certificate = issuer && !issuer.raw.equals(certificate.raw) ? issuer : undefined
  }
  return chain
}
