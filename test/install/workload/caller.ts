/**
 * A caller that makes new full handshakes of mutual TLS, so many a second, with the files in its volume as they are at
 * the time:
 *
 *     node caller.js SERVICE:PORT EXPECTED_ID PER_SECOND COLLECTOR:PORT
 *
 * Twice a second, and at its end, it sends what it has counted to the collector.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import { type Credentials, followVolume } from '../../demo/workload/credentials.ts'
import type { Report } from '../report.ts'
import { uriOf } from './uri.ts'

const TIMEOUT_MS = 5_000
const REPORT_MS = 500

const [target = '', expected, perSecond, collectorAddress = ''] = process.argv.slice(2)
const [host = '', port] = target.split(':')
const [collectorHost = '', collectorPort] = collectorAddress.split(':')

const counts = { handshakes: 0, failed: 0, resumed: 0, errors: new Array<string>() }
const ours = new Set<string>()
const theirs = new Set<string>()
let credentials: Credentials | undefined
let underWay = 0
let isStopping = false

followVolume('/identity', (next) => {
  credentials = next
  ours.add(new X509Certificate(next.certificates).serialNumber)
})

const collector = connectTcp(Number(collectorPort), collectorHost)
// Nobody to tell: the test has ended.
collector.on('error', () => process.exit(0))
const report = () => {
  const pod = process.env['HOSTNAME'] ?? ''
  const line: Report = { pod, ...counts, ours: [...ours], theirs: [...theirs] }
  collector.write(`${JSON.stringify(line)}\n`)
}
const reporting = setInterval(report, REPORT_MS)

process.once('SIGTERM', () => {
  isStopping = true
})
const interval = 1000 / Number(perSecond)
for (let next = performance.now(); !isStopping; next += interval) {
  await delay(Math.max(0, next - performance.now()))
  if (credentials) void handshake(credentials)
}
while (underWay > 0) await delay(20)
clearInterval(reporting)
report()
collector.end()

async function handshake({ certificates, key, authorities }: Credentials): Promise<void> {
  underWay += 1
  const socket = connect({
    host,
    port: Number(port),
    cert: certificates,
    key,
    ca: authorities,
    minVersion: 'TLSv1.3',
    // The peer is known by its SPIFFE ID, and not by a host name.
    checkServerIdentity: () => undefined,
  })
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  let reached = 'nothing'
  for (const event of ['lookup', 'connect', 'secureConnect']) socket.once(event, () => (reached = event))
  try {
    await once(socket, 'secureConnect', { signal })
    if (uriOf(socket) !== expected) throw new Error(`the service is ${uriOf(socket)}`)
    // The service judges our certificate after we think that we are connected; its answer says that it took it.
    socket.write('hello\n')
    const [answer] = (await once(socket, 'data', { signal })) as [Buffer]
    theirs.add(answer.toString().trim())
    counts.handshakes += 1
    if (socket.isSessionReused()) counts.resumed += 1
  } catch (error) {
    counts.failed += 1
    if (counts.errors.length < 10) counts.errors.push(`${new Date().toISOString()} ${String(error)} after ${reached}`)
  } finally {
    socket.on('error', () => {}).destroy()
    underWay -= 1
  }
}
