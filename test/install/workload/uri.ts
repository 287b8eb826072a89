import type { TLSSocket } from 'node:tls'

/** The URI in the certificate of an authenticated peer. */
export function uriOf(socket: TLSSocket): string | undefined {
  const names = socket.authorized ? socket.getPeerX509Certificate()?.subjectAltName : undefined
  return names
    ?.split(', ')
    .find((name) => name.startsWith('URI:'))
    ?.slice('URI:'.length)
}
