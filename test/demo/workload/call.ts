import { connect, type TLSSocket } from 'node:tls'
import type { Credentials } from './credentials.ts'
import { peerOf, type Shown } from './peer.ts'

/** How long one request may take. */
const TIMEOUT_MS = 5000

/** An open connection to a service: who it is, who it takes us for, and a way to ask again. */
export interface Conversation {
  readonly server: Shown
  /** Sends one request on this connection and gives what the service took us for. */
  ask(): Promise<Shown>
  close(): void
}

/** A full handshake (never resumed) with `address`, whose SPIFFE ID must be `expected`. */
export async function call(address: string, expected: string, credentials: Credentials): Promise<Conversation> {
  const [host = '', port = ''] = address.split(':')
  const { certificates, key, authorities } = credentials
  const socket = connect({
    host,
    port: Number(port),
    cert: certificates,
    key,
    ca: authorities,
    minVersion: 'TLSv1.3',
    // The peer is known by its SPIFFE ID, which is looked at below, and not by a host name.
    checkServerIdentity: () => undefined,
  })
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('timed out')))
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  const server = peerOf(socket)
  if (server.spiffeId !== expected) {
    socket.destroy()
    throw new Error(`the service is ${server.spiffeId}, not ${expected}`)
  }
  return { server, ask: () => ask(socket), close: () => socket.destroy() }
}

function ask(socket: TLSSocket): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error('the service closed the connection'))
    socket.once('close', closed)
    socket.setEncoding('utf8').once('data', (line: string) => {
      socket.off('close', closed)
      resolve(JSON.parse(line) as Shown)
    })
    socket.write('hello\n')
  })
}
