import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { parseCsr } from '../../core/pki/csr.ts'
import { generateKeyPair, type KeyType, pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { pemEncode } from '../../core/pki/pem.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import {
  NodeService,
  RevisionKind,
  type SyncRequest,
  type X509SvidRequest,
} from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { addService, type Call, type Handlers } from '../../proto/grpc-server.ts'
import { nameConnection } from '../../proto/named-connection.ts'
import { Latest } from '../../agent/workloads/latest.ts'
import type { FakeBrokerAuthorities } from './fake-broker-authorities.ts'

/** What a fake template says of a workload. */
export interface FakeIdentity {
  readonly path: readonly string[]
  readonly ttlMs: number
  readonly keyType?: KeyType
}

export interface FakeBrokerOptions {
  readonly authorities: FakeBrokerAuthorities
  readonly clock: Clock
  readonly port?: number
  readonly agentTtlMs?: number
  /** Throws to refuse. */
  readonly identityOf?: (claims: PodClaims) => FakeIdentity
  /** Another identity than the broker's, to see it refused. */
  readonly ownPath?: readonly string[]
}

/** What a token says, as far as it matters here; its signature is not looked at. */
export interface PodClaims {
  readonly namespace: string
  readonly serviceAccount: string
  readonly podUid: string
  readonly nodeName: string
}

type State = { case: 'bundles'; bundle: X509Bundle } | { case: 'renewal'; authorityKeyIds: string[] }

const HOUR_MS = 3_600_000
/** As `broker/issuance` has it: a batch that is wrong in itself is refused whole. */
const MAX_POD_UID_BYTES = 128

/** A broker in this process that behaves: real TLS, real gRPC, real certificates. It keeps no record and reviews no token. */
export class FakeBroker {
  readonly #options: FakeBrokerOptions
  readonly #grpc = new Server()
  readonly #states = new Latest<State>()
  readonly #sockets = new Set<TLSSocket>()
  readonly #callers = new Map<string, TLSSocket>()
  #tls: TlsServer | undefined
  #revision = 0n
  /** Sizes of the batches asked for, and what each item was. */
  readonly batches: X509SvidRequest[][] = []
  readonly acknowledged: bigint[] = []
  readonly ended: string[] = []
  readonly hellos: { bundleSequence: bigint; heldSerialNumbers: readonly string[] }[] = []
  attestations = 0
  /** Instead of the next SVID for an agent. */
  attestationRefusal: IdentityError | undefined
  /** TLS sessions that a client has resumed; there should be none (invariant 8). */
  resumed = 0

  private constructor(options: FakeBrokerOptions) {
    this.#options = options
    addService(this.#grpc, NodeService, this.#handlers())
  }

  static async start(options: FakeBrokerOptions): Promise<FakeBroker> {
    const broker = new FakeBroker(options)
    await broker.#listen()
    broker.publishBundle()
    return broker
  }

  get port(): number {
    const address = this.#tls?.address() as AddressInfo | undefined
    return address?.port ?? 0
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  get streams(): number {
    return this.#states.followers
  }

  get connections(): number {
    return this.#sockets.size
  }

  /** Sends the bundle of this moment on every stream. */
  publishBundle(): void {
    this.#set({ case: 'bundles', bundle: this.#options.authorities.bundle })
  }

  orderRenewal(authorityKeyIds: string[]): void {
    this.#set({ case: 'renewal', authorityKeyIds })
  }

  #set(state: State): void {
    this.#revision += 1n
    this.#states.set(state)
  }

  /** Ends streams as a broker does that stops, then connections. */
  async stop(): Promise<void> {
    this.#states.stop(new IdentityError('shutting_down', 'the broker is stopping'))
    await this.#options.clock.sleep(20)
    this.#grpc.forceShutdown()
    for (const socket of this.#sockets) socket.destroy()
    this.#tls?.close()
  }

  async #listen(): Promise<void> {
    const { authorities, port = 0, ownPath = ['countersign', 'broker'] } = this.#options
    const { privateKey } = await generateKeyPair('ec-p256')
    const leaf = authorities.sign(SpiffeId.of(authorities.trustDomain, ...ownPath), spkiOf(privateKey), HOUR_MS)
    const injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure())
    let count = 0
    this.#tls = createServer(
      {
        cert: pemEncode('CERTIFICATE', leaf.der),
        key: pemEncode('PRIVATE KEY', pkcs8Of(privateKey)),
        ca: [],
        minVersion: 'TLSv1.3',
        ALPNProtocols: ['h2'],
        requestCert: true,
        rejectUnauthorized: false,
      },
      (socket) => {
        const name = `connection ${(count += 1)}`
        if (socket.isSessionReused()) this.resumed += 1
        this.#sockets.add(socket)
        this.#callers.set(name, socket)
        socket.once('close', () => {
          this.#sockets.delete(socket)
          this.#callers.delete(name)
        })
        socket.on('error', () => {})
        nameConnection(socket, name)
        injector.injectConnection(socket)
      },
    )
    this.#tls.on('tlsClientError', () => {})
    this.#tls.listen(port, '127.0.0.1')
    await once(this.#tls, 'listening')
  }

  #handlers(): Handlers<typeof NodeService> {
    const { authorities, clock, agentTtlMs = HOUR_MS } = this.#options
    return {
      attestNode: async ({ serviceAccountToken, csr }) => {
        const { nodeName } = claimsOf(serviceAccountToken)
        this.attestations += 1
        if (this.attestationRefusal) throw this.attestationRefusal
        const id = SpiffeId.of(authorities.trustDomain, 'countersign', 'agent', nodeName)
        return {
          svid: this.#issue(id, csr, agentTtlMs),
          bundle: bundleMessage(authorities.bundle),
          serverTime: timestampFromDate(clock.now()),
        }
      },
      issueX509Svids: async ({ requests }, call) => {
        const node = this.#nodeOf(call)
        this.batches.push(requests)
        if (requests.some(({ podUid }) => podUid === '' || podUid.length > MAX_POD_UID_BYTES))
          throw new IdentityError('request_invalid', `pod_uid has 1 to ${MAX_POD_UID_BYTES} bytes`)
        return {
          results: requests.map((request) => this.#result(request, node)),
          serverTime: timestampFromDate(clock.now()),
        }
      },
      sync: (requests, call) => this.#sync(requests, call),
    }
  }

  #result({ requestId, serviceAccountToken, csr, podUid }: X509SvidRequest, nodeName: string) {
    const { authorities, identityOf = defaultIdentity } = this.#options
    try {
      const claims = claimsOf(serviceAccountToken)
      if (claims.nodeName !== nodeName) throw new IdentityError('node_mismatch', 'another node')
      if (claims.podUid !== podUid) throw new IdentityError('workload_mismatch', 'another pod')
      const { path, ttlMs, keyType = 'ec-p256' } = identityOf(claims)
      if (parseCsr(csr).keyType !== keyType)
        throw new IdentityError('key_type_required', `a key of type ${keyType} is demanded`, { facts: { keyType } })
      const svid = this.#issue(SpiffeId.of(authorities.trustDomain, ...path), csr, ttlMs)
      return { requestId, outcome: { case: 'svid' as const, value: svid } }
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error
      const { code, message, facts, retryAfterMs } = error
      const retryAfter = retryAfterMs === undefined ? {} : { retryAfter: durationFromMs(retryAfterMs) }
      return {
        requestId,
        outcome: { case: 'refusal' as const, value: { code, message, facts: { ...facts }, ...retryAfter } },
      }
    }
  }

  #issue(id: SpiffeId, csr: Uint8Array, ttlMs: number) {
    const leaf = this.#options.authorities.sign(id, parseCsr(csr).spki, ttlMs)
    return {
      spiffeId: id.toString(),
      certificateChain: [leaf.der],
      notAfter: timestampFromDate(leaf.notAfter),
      lifetime: durationFromMs(ttlMs),
    }
  }

  /** The node that the caller's certificate names, if it is an agent's and has not ended. */
  #nodeOf({ peer }: Call): string {
    const raw = this.#callers.get(peer)?.getPeerX509Certificate()?.raw
    if (!raw) throw new IdentityError('agent_certificate_required', 'no certificate')
    const leaf = parseCertificate(raw)
    if (leaf.notAfter < this.#options.clock.now())
      throw new IdentityError('agent_certificate_expired', "the agent's SVID has expired")
    return (
      SpiffeId.parse(leaf.uris[0] ?? '')
        .path.split('/')
        .at(-1) ?? ''
    )
  }

  async *#sync(requests: AsyncIterable<SyncRequest>, call: Call) {
    this.#nodeOf(call)
    void this.#listenTo(requests)
    let isFirst = true
    for await (const latest of this.#states.follow(call.signal)) {
      const state: State = isFirst ? { case: 'bundles', bundle: this.#options.authorities.bundle } : latest
      isFirst = false
      const serverTime = timestampFromDate(this.#options.clock.now())
      const message =
        state.case === 'bundles'
          ? { case: 'bundles' as const, value: { own: bundleMessage(state.bundle) } }
          : { case: 'renewal' as const, value: { authorityKeyIds: state.authorityKeyIds } }
      const kind = state.case === 'bundles' ? RevisionKind.BUNDLES : RevisionKind.REVOCATIONS
      yield { kind, revision: this.#revision, state: message, serverTime }
    }
  }

  async #listenTo(requests: AsyncIterable<SyncRequest>): Promise<void> {
    try {
      for await (const { message } of requests) {
        if (message.case === 'hello') this.hellos.push(message.value)
        if (message.case === 'acknowledgement') this.acknowledged.push(message.value.revision)
        if (message.case === 'ended') this.ended.push(...message.value.serialNumbers)
      }
    } catch {
      // The stream is over.
    }
  }

  /** The revision that was sent last. */
  get revision(): bigint {
    return this.#revision
  }
}

function bundleMessage({ trustDomain, authorities, sequence }: X509Bundle) {
  return {
    trustDomain: trustDomain.toString(),
    x509Authorities: authorities.map(({ der }) => der),
    sequence,
    refreshHint: durationFromMs(300_000),
  }
}

function defaultIdentity({ namespace, serviceAccount }: PodClaims): FakeIdentity {
  return { path: ['ns', namespace, 'sa', serviceAccount], ttlMs: HOUR_MS }
}

function claimsOf(token: string): PodClaims {
  try {
    const { 'kubernetes.io': claims } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    const { namespace, pod, node, serviceaccount } = claims
    return { namespace, serviceAccount: serviceaccount.name, podUid: pod.uid, nodeName: node.name }
  } catch {
    throw new IdentityError('token_malformed', 'the token is not a JWT')
  }
}
