import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { generateKeyPair, pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { pemEncode } from '../../core/pki/pem.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { AdminService } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { addService, type Handlers } from '../../proto/grpc-server.ts'
import type { FakeBrokerAuthorities } from './fake-broker-authorities.ts'

const HOUR_MS = 3_600_000

export interface FakeAdminOptions {
  readonly authorities: FakeBrokerAuthorities
  /** What is answered; every other method is refused. */
  readonly answers?: Partial<Handlers<typeof AdminService>> | undefined
  /** Another identity than the broker's. */
  readonly ownPath?: readonly string[]
  readonly token?: string
}

/** The broker's admin API in this process, over real TLS and gRPC: it answers what it is told to. */
export class FakeAdmin {
  readonly #grpc = new Server()
  readonly #sockets = new Set<TLSSocket>()
  readonly #options: FakeAdminOptions
  #tls: TlsServer | undefined
  /** What callers presented. */
  readonly authorizations: string[] = []
  /** Bytes that came after a handshake: none may come from who does not believe us. */
  bytesRead = 0

  private constructor(options: FakeAdminOptions) {
    this.#options = options
    const refuse = () => Promise.reject(new IdentityError('not_implemented', 'this fake does not answer that'))
    const handlers = Object.fromEntries(
      AdminService.methods.map(({ localName }) => [
        localName,
        (request: never, call: never) =>
          this.#answer(localName as keyof typeof AdminService.method, request, call, refuse),
      ]),
    )
    addService(this.#grpc, AdminService, handlers as Handlers<typeof AdminService>)
  }

  static async start(options: FakeAdminOptions): Promise<FakeAdmin> {
    const admin = new FakeAdmin(options)
    await admin.#listen()
    return admin
  }

  get address(): string {
    const address = this.#tls?.address() as AddressInfo | undefined
    return `127.0.0.1:${address?.port ?? 0}`
  }

  stop(): void {
    this.#grpc.forceShutdown()
    for (const socket of this.#sockets) socket.destroy()
    this.#tls?.close()
  }

  async #answer(
    method: keyof typeof AdminService.method,
    request: never,
    call: { readonly metadata: { get(key: string): unknown[] } },
    refuse: () => Promise<never>,
  ): Promise<unknown> {
    const { answers = {}, token = 'good' } = this.#options
    const [first] = call.metadata.get('authorization')
    const presented = typeof first === 'string' ? first : ''
    this.authorizations.push(presented)
    if (presented !== `Bearer ${token}`)
      throw new IdentityError('token_rejected', 'the API server does not accept the token')
    return (answers[method] ?? refuse)(request, call as never)
  }

  async #listen(): Promise<void> {
    const { authorities, ownPath = ['countersign', 'broker'] } = this.#options
    const { privateKey } = await generateKeyPair('ec-p256')
    const leaf = authorities.sign(SpiffeId.of(authorities.trustDomain, ...ownPath), spkiOf(privateKey), HOUR_MS)
    const injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure())
    this.#tls = createServer(
      {
        cert: pemEncode('CERTIFICATE', leaf.der),
        key: pemEncode('PRIVATE KEY', pkcs8Of(privateKey)),
        minVersion: 'TLSv1.3',
        ALPNProtocols: ['h2'],
      },
      (socket) => {
        this.#sockets.add(socket)
        socket.once('close', () => {
          this.bytesRead += socket.bytesRead
          this.#sockets.delete(socket)
        })
        socket.on('error', () => {})
        injector.injectConnection(socket)
      },
    )
    this.#tls.on('tlsClientError', () => {})
    this.#tls.listen(0, '127.0.0.1')
    await once(this.#tls, 'listening')
  }
}
