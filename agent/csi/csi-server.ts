import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { chmod, rename, rm } from 'node:fs/promises'
import { createServer, type Server as SocketServer, type Socket } from 'node:net'
import { join } from 'node:path'
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

/** sun_path without its ending NUL; Node.js would cut a longer one short without a word. */
const MAX_PATH_BYTES = 107
const MAX_CONNECTIONS = 16
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

/** The driver's socket: Registration, Identity and Node on one, for kubelet alone. */
export class CsiServer {
  readonly #path: string
  readonly #next: string
  readonly #grpc: Server
  /** One for all listeners: the server keeps each until its own end. */
  readonly #injector: ConnectionInjector
  readonly #dependencies: CsiServerDependencies
  readonly #stopping = new AbortController()
  readonly #connections = new Set<Socket>()
  #isRegistered = false
  #listener: SocketServer | undefined
  /** The socket is being made anew. */
  #again: Promise<void> | undefined
  /** What kubelet says next ends the wait for it, and the one before the socket is made anew. */
  #waiting = new AbortController()

  private constructor(options: CsiServerOptions, dependencies: CsiServerDependencies) {
    const name = `${DRIVER_NAME}-reg.sock`
    // The name is always the same: kubelet refuses a second socket that announces the same driver. It looks at no name
    // that begins with a dot, so that the socket is whole before it is seen.
    this.#path = join(options.pluginsRegistry, name)
    this.#next = join(options.pluginsRegistry, `.${name}`)
    this.#dependencies = dependencies
    this.#grpc = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE_BYTES })
    this.#injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure())
    const { volumes, log } = dependencies
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
    if (Buffer.byteLength(server.#next) > MAX_PATH_BYTES) {
      throw new IdentityError(
        'config_invalid',
        `csi.pluginsRegistry is too long for a socket (${MAX_PATH_BYTES} bytes)`,
      )
    }
    await server.#listen()
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

  async #listen(): Promise<void> {
    const listener = createServer((connection) => {
      this.#connections.add(connection)
      connection.once('close', () => this.#connections.delete(connection))
      connection.on('error', () => {})
      nameConnection(connection, 'kubelet')
      this.#injector.injectConnection(connection)
    })
    listener.maxConnections = MAX_CONNECTIONS
    // A connection that cannot be accepted (no descriptor is left) is kubelet's to make again, and does not end us.
    listener.on('error', (error) => this.#dependencies.log.warn({ err: error }, 'the CSI socket has an error'))
    this.#listener = listener
    await rm(this.#next, { force: true })
    listener.listen(this.#next)
    await once(listener, 'listening')
    await chmod(this.#next, 0o600)
    // kubelet registers anew where it sees a socket go and another come.
    await rm(this.#path, { force: true })
    await rename(this.#next, this.#path)
  }

  async #stopListening(): Promise<void> {
    this.#isRegistered = false
    this.#listener?.close()
    this.#listener = undefined
    await rm(this.#path, { force: true })
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
  #registerAgain(): void {
    this.#isRegistered = false
    // What is thrown is only that the agent stops, or that kubelet has thought better of it.
    this.#again ??= this.#makeAnew()
      .catch(() => {})
      .finally(() => (this.#again = undefined))
  }

  async #makeAnew(): Promise<void> {
    const { clock, log } = this.#dependencies
    const { signal } = this.#stopping
    await this.#wait(REFUSED_WAIT_MS)
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
