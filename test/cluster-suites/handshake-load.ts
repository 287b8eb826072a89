/**
 * New full handshakes of mutual TLS, so many a second, with the identity in a pod's volume as it is at the time:
 *
 *     node test/cluster-suites/handshake-load.ts --directory DIR --connect HOST:PORT --expect ID --per-second 60
 *
 * It prints what it has counted once a second, per authority of either side.
 *
 * @module
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type TLSSocket } from 'node:tls'
import { parseArgs } from 'node:util'
import { type Certificate, parseCertificate } from '../../core/pki/certificate.ts'
import { pemDecode } from '../../core/pki/pem.ts'
import { type Credentials, followVolume } from '../demo/workload/credentials.ts'

const TIMEOUT_MS = 5_000

const { values } = parseArgs({
  options: {
    directory: { type: 'string', default: '' },
    connect: { type: 'string', default: '' },
    expect: { type: 'string', default: '' },
    'per-second': { type: 'string', default: '60' },
  },
})
const [host = '', port = ''] = values.connect.split(':')

const counts = { handshakes: 0, failed: 0, resumed: 0, errors: new Array<string>() }
const ours = new Map<string, number>()
const theirs = new Map<string, number>()

let credentials: Credentials | undefined
let ourAuthority = ''
followVolume(values.directory, (next) => {
  const [leaf] = pemDecode(next.certificates)
  ourAuthority = authorityOf(parseCertificate(leaf?.der ?? new Uint8Array()))
  credentials = next
})

setInterval(() => {
  const line = { event: 'load', ...counts, ours: Object.fromEntries(ours), theirs: Object.fromEntries(theirs) }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}, 1_000)

const intervalMs = 1000 / Number(values['per-second'])
for (let next = performance.now(); ; next += intervalMs) {
  await delay(Math.max(0, next - performance.now()))
  if (credentials) void handshake(credentials, ourAuthority)
}

async function handshake({ certificates, key, authorities }: Credentials, authority: string): Promise<void> {
  const socket = connect({
    host,
    port: Number(port),
    cert: certificates,
    key,
    ca: authorities,
    minVersion: 'TLSv1.3',
    checkServerIdentity: () => undefined,
  })
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    await once(socket, 'secureConnect', { signal })
    const peer = peerCertificate(socket)
    if (peer.uris[0] !== values.expect) throw new Error(`the service is ${peer.uris[0]}`)
    // The service judges our certificate after we think that we are connected; its answer says that it took it.
    socket.write('hello\n')
    await once(socket, 'data', { signal })
    counts.handshakes += 1
    if (socket.isSessionReused()) counts.resumed += 1
    count(ours, authority)
    count(theirs, authorityOf(peer))
  } catch (error) {
    counts.failed += 1
    if (counts.errors.length < 10) counts.errors.push(String(error))
  } finally {
    socket.on('error', () => {}).destroy()
  }
}

function peerCertificate(socket: TLSSocket): Certificate {
  const certificate = socket.getPeerX509Certificate()
  if (!certificate) throw new Error('the service showed no certificate')
  return parseCertificate(certificate.raw)
}

function authorityOf({ authorityKeyIdentifier }: Certificate): string {
  return authorityKeyIdentifier?.toString('hex') ?? ''
}

function count(map: Map<string, number>, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1)
}
