import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { parseCertificate } from '../../../core/pki/certificate.ts'
import type { Credentials } from './credentials.ts'

/** What one end says of a certificate: whose it is, and which. */
export interface Shown {
  readonly spiffeId: string
  readonly serialNumber: string
}

/** The leaf of `credentials`. */
export function shownOf({ certificates }: Credentials): Shown & { readonly notAfter: string; readonly pem: string } {
  const leaf = new X509Certificate(certificates)
  const { uris, serialNumber, notAfter } = parseCertificate(leaf.raw)
  return { spiffeId: uris[0] ?? '', serialNumber, notAfter: notAfter.toISOString(), pem: certificates }
}

/** The other end of an established mutual TLS connection, whose chain Node has verified. */
export function peerOf(socket: TLSSocket): Shown {
  const certificate = socket.getPeerX509Certificate()
  if (!socket.authorized || certificate === undefined) throw new Error('the peer is not authenticated')
  const { uris, serialNumber } = parseCertificate(certificate.raw)
  return { spiffeId: uris[0] ?? '', serialNumber }
}
