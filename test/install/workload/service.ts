/**
 * A service that knows nothing of Countersign but the files in its volume:
 *
 *     node service.js PORT ALLOWED_ID
 *
 * It answers each line of a caller whose certificate names that ID with its own serial number.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { createServer } from 'node:tls'
import { followVolume } from '../../demo/workload/credentials.ts'
import { uriOf } from './uri.ts'

const [port, allowed] = process.argv.slice(2)
let serialNumber = ''

const server = createServer({ minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: true }, (socket) => {
  socket.on('error', () => socket.destroy())
  if (uriOf(socket) !== allowed) return socket.destroy()
  socket.on('data', () => socket.end(`${serialNumber}\n`))
  return undefined
})

followVolume('/identity', ({ certificates, key, authorities }) => {
  serialNumber = new X509Certificate(certificates).serialNumber
  server.setSecureContext({ cert: certificates, key, ca: authorities, minVersion: 'TLSv1.3' })
  if (!server.listening) server.listen(Number(port), '0.0.0.0')
})

// Its preStop hook has waited until no caller is sent here any more.
process.once('SIGTERM', () => {
  server.close(() => process.exit(0))
})
