import { Writable } from 'node:stream'
import pino from 'pino'

/** What the programs log with: a constant message, and everything variable in fields. */
export type Log = pino.Logger

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Fields that never appear, wherever they stand. */
const SECRET_FIELDS = [
  'token',
  'serviceAccountToken',
  'service_account_token',
  'csr',
  'key',
  'privateKey',
  'secrets',
  'authorization',
]

/** A JWT, or a PEM private key: what must not appear even inside another text (invariant 6). */
const SECRET_TEXT =
  /eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gs

/** `text` without tokens and keys. The last line of defence: nothing should hand them over in the first place. */
export function redact(text: string): string {
  return text.replaceAll(SECRET_TEXT, '[redacted]')
}

/** JSON lines to `destination` (standard error by default), with `name` on each. */
export function createLog(name: string, level: LogLevel, destination: Writable = process.stderr): Log {
  const redacting = new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      destination.write(redact(chunk.toString()))
      done()
    },
  })
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '[redacted]' },
    },
    redacting,
  )
}
