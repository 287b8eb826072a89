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

/** Parts of base64url with dots between them, among which there may be a JWT. From where they begin, and so in linear time. */
const DOTTED = /(?<![\w-])[\w-]+(?:\.[\w-]*)+/g
/** How the header of a JWT begins. */
const JWT_HEADER = /eyJ[\w-]{8,}/
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gs

/**
 * `text` without JWTs and PEM private keys, which must not appear even inside another text (invariant 6). The last line of
 * defence: nothing should hand them over in the first place.
 */
export function redact(text: string): string {
  return text.replaceAll(DOTTED, withoutJwt).replaceAll(PRIVATE_KEY, '[redacted]')
}

function withoutJwt(dotted: string): string {
  const parts = dotted.split('.')
  const left: string[] = []
  for (let index = 0; index < parts.length; index += 1) {
    const [part = '', payload = '', signature] = parts.slice(index, index + 3)
    const at = payload !== '' && signature !== undefined ? part.search(JWT_HEADER) : -1
    left.push(at === -1 ? part : `${part.slice(0, at)}[redacted]`)
    if (at !== -1) index += 2
  }
  return left.join('.')
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
