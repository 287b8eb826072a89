import { type AddressInfo, createServer, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { IdentityError } from '../../core/runtime/errors.ts'
import { printableLine } from '../../core/runtime/printable.ts'
import type { Cluster } from './cluster.ts'

/** A local port whose connections end in a pod, through API server and kubelet. */
export interface PortForward {
  /** `127.0.0.1:port`. */
  readonly address: string
  /** Why the last connection failed, as far as it is known. */
  failure(): unknown
  close(): void
}

interface Target {
  readonly namespace: string
  readonly pod: string
  readonly port: number
}

/** What a pod that refuses a connection makes kubelet say is short. */
const MAX_MESSAGE = 2048

/** Listens until it is closed. What passes through is TLS that the API server cannot read. */
export async function forwardPort(cluster: Cluster, { namespace, pod, port }: Target): Promise<PortForward> {
  const { PortForward: Forwarder } = await import('@kubernetes/client-node')
  const forwarder = new Forwarder(cluster.kubeConfig)
  const sockets = new Set<Socket>()
  let failure: unknown

  async function forward(socket: Socket): Promise<void> {
    let said = ''
    const errors = new PassThrough()
    errors.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(0, MAX_MESSAGE)
      const why = printableLine(said.trim())
      failure = new IdentityError('broker_unavailable', `port ${port} of pod ${namespace}/${pod}: ${why}`)
      socket.destroy()
    })
    const connection = await forwarder.portForward(namespace, pod, [port], socket, errors, socket)
    if (typeof connection === 'function') throw new TypeError('the client retries by itself, which was not asked of it')
    connection.onclose = () => socket.destroy()
    connection.onerror = () => socket.destroy()
    socket.once('close', () => connection.close())
    if (socket.destroyed) connection.close()
  }

  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
    // Until the other side is there nothing is read, and so nothing is lost.
    socket.pause()
    forward(socket).then(
      () => socket.resume(),
      (error: unknown) => {
        failure = refusal(error, { namespace, pod, port })
        socket.destroy()
      },
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    failure: () => failure,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** The WebSocket library knows the answer's status only as text. */
function refusal(error: unknown, { namespace, pod, port }: Target): IdentityError {
  const message = String((error as { readonly message?: unknown }).message ?? error)
  const status = /server response: (\d{3})/.exec(message)?.[1]
  if (status === '403')
    return new IdentityError(
      'kubernetes_forbidden',
      `you may not forward ports: create pods/portforward in namespace ${namespace} is missing (or use --broker)`,
    )
  return new IdentityError(
    'broker_unavailable',
    `port ${port} of pod ${namespace}/${pod} cannot be forwarded: ${printableLine(message)}`,
  )
}
