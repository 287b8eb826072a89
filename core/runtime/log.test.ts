import { generateKeyPairSync } from 'node:crypto'
import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { createLog, redact } from './log.ts'

function captured(): { log: ReturnType<typeof createLog>; text: () => string } {
  let text = ''
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    },
  })
  return { log: createLog('test', 'info', sink), text: () => text }
}

const jwt = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl'
const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString()

test.for([
  { name: 'a field called token', fields: { token: 'abcdef' }, secret: 'abcdef' },
  { name: 'a nested field', fields: { request: { serviceAccountToken: 'abcdef' } }, secret: 'abcdef' },
  { name: 'a token in another text', fields: { note: `got ${jwt}!` }, secret: 'c2lnbmF0dXJl' },
  { name: 'a token in an error', fields: { err: new Error(`bad ${jwt}`) }, secret: 'eyJzdWIi' },
  { name: 'a private key in an error', fields: { err: new Error(pem) }, secret: pem.split('\n')[1] ?? '' },
])('invariant 6: a log line never holds $name', ({ fields, secret }) => {
  const { log, text } = captured()
  log.info(fields, 'something happened')
  expect(text()).toContain('something happened')
  expect(text()).not.toContain(secret)
})

test.for([
  ['pod eyJustAName has 3 keys', 'pod eyJustAName has 3 keys'],
  ['v1.eyJustAName9. and more', 'v1.eyJustAName9. and more'],
  [jwt, '[redacted]'],
  [`a.b.c-${jwt}.d/${jwt}`, 'a.b.c-[redacted].d/[redacted]'],
  [`\\n${jwt}`, '\\n[redacted]'],
  [jwt.slice(0, jwt.lastIndexOf('.') + 1), '[redacted]'],
] as const)('redaction leaves the rest alone: %s', ([text, redacted]) => {
  expect(redact(text)).toBe(redacted)
})

test.for(['eyJ', 'eyJeyJeyJeyJ.', '-----BEGIN PRIVATE KEY-----', '-----BEGIN ', 'A'])(
  'a long line takes no longer than its length: %s',
  (part) => {
    expect(redact(part.repeat(300_000))).not.toContain('PRIVATE KEY-----')
  },
)
