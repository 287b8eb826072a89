import { Buffer } from 'node:buffer'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'

const TIME_BYTES = 6
/** RFC 5280 §4.1.2.2 leaves it to the issuer; CA/Browser Forum BR §7.1 demands at least 64 bits. These are 80. */
const RANDOM_BYTES = 10

/**
 * A new certificate serial number of 16 octets: milliseconds since 1970 (48 bits), then 80 random bits. So numbers
 * ascend with time, as numbers and as hex, which keeps the ledger's index in order, and none can be guessed.
 *
 * The second-highest bit is always set and the highest never (until the year 4199): the number is positive, and as long
 * in DER as it is here (RFC 5280 §4.1.2.2: at most 20 octets).
 */
export function newSerialNumber(clock: Clock, random: Random): Uint8Array {
  const serial = Buffer.alloc(TIME_BYTES + RANDOM_BYTES)
  serial.writeUIntBE(clock.now().getTime(), 0, TIME_BYTES)
  serial[0] = (serial.readUInt8(0) & 0x3f) | 0x40
  serial.set(random.bytes(RANDOM_BYTES), TIME_BYTES)
  return serial
}

/** Lower-case hex, two digits an octet: how the ledger, logs and people name a certificate. */
export function serialToHex(serialNumber: Uint8Array): string {
  return Buffer.from(serialNumber).toString('hex')
}

const SERIAL = /^[0-9a-f]{32}$/
const FORM = 0x40_00_00_00_00_00

/** When one of our own serial numbers was made; `undefined` for a number that is not of this form. */
export function serialTime(hex: string): Date | undefined {
  if (!SERIAL.test(hex)) return undefined
  const time = Number.parseInt(hex.slice(0, 2 * TIME_BYTES), 16) - FORM
  return time >= 0 && time < FORM ? new Date(time) : undefined
}

/** The least serial number that is made at `time`: what was made before sorts below it. */
export function firstSerialAt(time: Date): string {
  const clamped = Math.min(Math.max(0, time.getTime()), FORM - 1)
  return (clamped + FORM).toString(16).padEnd(2 * (TIME_BYTES + RANDOM_BYTES), '0')
}
