/**
 * The floor of an issuance: imports a P-256 key from DER, verifies one signature with it and makes another, over and
 * over. Prints microseconds a turn, by the clock and of CPU.
 *
 *     node floor-program.ts MILLISECONDS
 */
import { createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto'

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const spki = publicKey.export({ format: 'der', type: 'spki' })
const message = randomBytes(300)
const signature = sign('sha256', message, privateKey)

function turn(): void {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  if (!verify('sha256', message, key, signature)) throw new Error('the signature does not verify')
  sign('sha256', message, privateKey)
}

function measure(milliseconds: number) {
  const before = process.cpuUsage()
  const begin = performance.now()
  let turns = 0
  while (performance.now() - begin < milliseconds) {
    turn()
    turns += 1
  }
  const { user, system } = process.cpuUsage(before)
  return { wallMicros: ((performance.now() - begin) * 1000) / turns, cpuMicros: (user + system) / turns }
}

measure(200)
process.stdout.write(`${JSON.stringify(measure(Number(process.argv[2] ?? 1000)))}\n`)
