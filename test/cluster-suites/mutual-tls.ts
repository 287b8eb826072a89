import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { call } from '../demo/workload/call.ts'
import { readVolume } from '../demo/workload/credentials.ts'
import { peerOf } from '../demo/workload/peer.ts'
import type { PodVolume } from './pod-volume.ts'

/** One full handshake of mutual TLS, and a word in each direction, between the identities in two pods' volumes. */
export async function handshake(client: PodVolume, server: PodVolume): Promise<void> {
  const [serverLeaf, { certificates, key, authorities }] = [await server.leaf(), readVolume(server.path)]
  const listener = createServer(
    { cert: certificates, key, ca: authorities, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: true },
    (socket: TLSSocket) => {
      socket.on('error', () => socket.destroy())
      socket.once('data', () => socket.end(`${JSON.stringify(peerOf(socket))}\n`))
    },
  )
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  try {
    const { port } = listener.address() as AddressInfo
    const conversation = await call(`127.0.0.1:${port}`, serverLeaf.uris[0] ?? '', readVolume(client.path))
    await conversation.ask()
    conversation.close()
  } finally {
    listener.close()
  }
}
