import type { Socket } from 'node:net'
import { type ConnectionInjector, Server, ServerCredentials } from '@grpc/grpc-js'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Log } from '../../core/runtime/log.ts'
import { addService, type EndedCall } from '../../proto/grpc-server.ts'
import { nameConnection } from '../../proto/named-connection.ts'
import { Identity, Node } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import { Registration } from '../../proto/gen/third_party/pluginregistration/api_pb.ts'
import { DRIVER_NAME, identityService } from './identity-service.ts'
import { nodeService } from './node-service.ts'
import { PluginSocket, type Standing } from './plugin-socket.ts'
import { registrationService } from './registration-service.ts'
import type { Volumes } from './volumes.ts'

export interface CsiServerOptions {
  /** kubelet's folder of plug-in sockets, for example /var/lib/kubelet/plugins_registry. */
  readonly pluginsRegistry: string
  readonly nodeName: string
  readonly version: string
  /** A call has ended, for a metric and a log line. */
  readonly ended: (call: EndedCall) => void
}

export interface CsiServerDependencies {
  readonly volumes: Volumes
  readonly clock: Clock
  readonly log: Log
}

const MAX_MESSAGE_BYTES = 1024 * 1024
/** kubelet is not to be flooded by a registration that it keeps refusing. */
const REFUSED_WAIT_MS = 10_000
/**
 * kubelet says once what has become of a registration, and not every version tries again if that is lost. It gives the
 * driver two minutes to answer it, and five seconds to hear of the end.
 */
const VERDICT_WAIT_MS = 180_000
/** Without a socket kubelet reaches nobody: no pod of ours starts on this node, and none ends. */
const RETRY_FIRST_MS = 1_000
const RETRY_MAX_MS = 30_000
/** Whatever has become of the socket, kubelet does not tell: it forgets the driver. */
const LOOK_MS = 5_000

/** The driver's socket: Registration, Identity and Node on one, for kubelet alone. */
export class CsiServer {
  readonly #socket: PluginSocket
  readonly #grpc: Server
  /** One for all listeners: the server keeps each until its own end. */
  readonly #injector: ConnectionInjector
  readonly #dependencies: CsiServerDependencies
  readonly #stopping = new AbortController()
  readonly #connections = new Set<Socket>()
  #isRegistered = false
  #standing: Standing = 'nothing'
  /** The socket is being made anew. */
  #again: Promise<void> | undefined
  /** What kubelet says next ends the wait for it, and the one before the socket is made anew. */
  #waiting = new AbortController()

  private constructor(options: CsiServerOptions, dependencies: CsiServerDependencies) {
    this.#dependencies = dependencies
    this.#grpc = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE_BYTES })
    this.#injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure())
    const { volumes, log } = dependencies
    this.#socket = new PluginSocket(
      { folder: options.pluginsRegistry, driver: DRIVER_NAME },
      (connection) => this.#accept(connection),
      (error) => log.warn({ err: error }, 'the CSI socket has an error'),
    )
    addService(this.#grpc, Identity, identityService(options.version), options.ended)
    addService(this.#grpc, Node, nodeService(options.nodeName, volumes), options.ended)
    const observer = {
      asked: () => this.#asked(),
      registered: () => this.#registered(),
      refused: () => this.#registerAgain(),
    }
    addService(this.#grpc, Registration, registrationService(log, observer), options.ended)
  }

  /** Listens; kubelet finds the socket by itself. */
  static async start(options: CsiServerOptions, dependencies: CsiServerDependencies): Promise<CsiServer> {
    const server = new CsiServer(options, dependencies)
    await server.#listen()
    void server.#look()
    return server
  }

  /** Whether kubelet has said that it takes the driver, since it asked last who that is. */
  get isRegistered(): boolean {
    return this.#isRegistered
  }

  /** Takes the socket away and ends what runs; kubelet asks again once there is a socket again. */
  async close(): Promise<void> {
    this.#stopping.abort(new IdentityError('shutting_down', 'the agent is stopping'))
    await this.#again
    await this.#stopListening()
    this.#grpc.forceShutdown()
    for (const connection of this.#connections) connection.destroy()
  }

  #accept(connection: Socket): void {
    this.#connections.add(connection)
    connection.once('close', () => this.#connections.delete(connection))
    connection.on('error', () => {})
    nameConnection(connection, 'kubelet')
    this.#injector.injectConnection(connection)
  }

  async #listen(): Promise<void> {
    await this.#socket.listen()
    this.#standing = 'ours'
  }

  async #stopListening(): Promise<void> {
    this.#isRegistered = false
    await this.#socket.close()
  }

  /** Sees to it that there is a socket until the agent stops; that of another agent is left to it for as long as it stands. */
  async #look(): Promise<void> {
    const { clock, log } = this.#dependencies
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal).catch(() => {})
      if (signal.aborted || this.#again) continue
      const before = this.#standing
      this.#standing = await this.#socket.standing().catch(() => before)
      if (this.#standing === 'ours') continue
      this.#isRegistered = false
      // Another agent that puts its own there takes this one away first: what is seen once may be that moment.
      if (this.#standing === 'nothing' && before === 'nothing') {
        log.warn('the CSI socket is gone; it is made anew')
        this.#registerAgain(0)
      } else if (this.#standing === 'others' && before !== 'others') {
        log.warn('another agent has put its CSI socket in the place of this one, and serves the node')
      }
    }
  }

  #asked(): void {
    this.#isRegistered = false
    void this.#awaitVerdict()
  }

  #registered(): void {
    this.#waiting.abort()
    this.#isRegistered = true
  }

  /** Of a registration that nothing more is heard of there will be no other by itself. */
  async #awaitVerdict(): Promise<void> {
    try {
      await this.#wait(VERDICT_WAIT_MS)
    } catch {
      return
    }
    this.#dependencies.log.warn('kubelet has not said whether it takes the driver; it is asked again')
    this.#registerAgain()
  }

  /** Until kubelet is heard of, or the agent stops: then it rejects. */
  #wait(milliseconds: number): Promise<void> {
    this.#waiting.abort()
    this.#waiting = new AbortController()
    return this.#dependencies.clock.sleep(milliseconds, AbortSignal.any([this.#waiting.signal, this.#stopping.signal]))
  }

  /** kubelet may refuse more than once before the socket is made anew. */
  #registerAgain(waitMs = REFUSED_WAIT_MS): void {
    this.#isRegistered = false
    // What is thrown is only that the agent stops, or that kubelet has thought better of it.
    this.#again ??= this.#makeAnew(waitMs)
      .catch(() => {})
      .finally(() => (this.#again = undefined))
  }

  async #makeAnew(firstMs: number): Promise<void> {
    const { clock, log } = this.#dependencies
    const { signal } = this.#stopping
    await this.#wait(firstMs)
    for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(2 * waitMs, RETRY_MAX_MS)) {
      try {
        await this.#stopListening()
        return await this.#listen()
      } catch (error) {
        log.error({ err: error, waitMs }, 'the CSI socket could not be made anew; it is tried again')
        await clock.sleep(waitMs, signal)
      }
    }
  }
}
