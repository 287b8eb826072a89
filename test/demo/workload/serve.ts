import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import type { Credentials } from './credentials.ts'
import { peerOf } from './peer.ts'

/** A service that answers each line with who it took the caller for, over mutual TLS that rotates without a restart. */
export function serve(
  host: string,
  allowed: readonly string[],
): { rotate(credentials: Credentials): void; listening: Promise<AddressInfo> } {
  const server = createServer({ minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    const peer = peerOf(socket)
    if (!allowed.includes(peer.spiffeId)) return socket.destroy()
    socket.setEncoding('utf8').on('data', () => socket.write(`${JSON.stringify(peer)}\n`))
    return undefined
  })
  const listening = Promise.withResolvers<AddressInfo>()
  return {
    rotate({ certificates, key, authorities }) {
      server.setSecureContext({ cert: certificates, key, ca: authorities, minVersion: 'TLSv1.3' })
      if (!server.listening) server.listen(0, host, () => listening.resolve(server.address() as AddressInfo))
    },
    listening: listening.promise,
  }
}
