import { describe, expect, test } from 'vitest'
import { refusal } from '../../test/vectors/refusal.ts'
import { pemDecode, pemEncode } from './pem.ts'

const der = Buffer.alloc(100, 7)
const pem = pemEncode('CERTIFICATE', der)

test('is written with lines of 64 characters', () => {
  expect(pem).toMatch(/^-----BEGIN CERTIFICATE-----\n.{64}\n.{64}\n.{1,64}\n-----END CERTIFICATE-----\n$/)
})

describe('reads', () => {
  test.for([
    { name: 'as it was written', text: pem, labels: ['CERTIFICATE'] },
    { name: 'several blocks', text: pem + pemEncode('EC PRIVATE KEY', der), labels: ['CERTIFICATE', 'EC PRIVATE KEY'] },
    { name: 'with CRLF', text: pem.replaceAll('\n', '\r\n'), labels: ['CERTIFICATE'] },
    { name: 'without the last line feed', text: pem.trimEnd(), labels: ['CERTIFICATE'] },
    { name: 'text between blocks', text: `# ours\n${pem}\n# theirs\n${pem}`, labels: ['CERTIFICATE', 'CERTIFICATE'] },
    { name: 'one long line', text: pem.replace(/(?<=[^-])\n(?=[^-])/g, ''), labels: ['CERTIFICATE'] },
    { name: 'spaces at the end of lines', text: pem.replaceAll('\n', '  \n'), labels: ['CERTIFICATE'] },
  ])('$name', ({ text, labels }) => {
    const blocks = pemDecode(text)
    expect(blocks.map(({ label }) => label)).toEqual(labels)
    for (const block of blocks) expect(block.der).toEqual(der)
  })
})

describe('refuses', () => {
  const base64 = der.toString('base64')
  const block = (body: string): string => `-----BEGIN X-----\n${body}\n-----END X-----\n`
  test.for([
    { name: 'nothing', text: '', says: 'no block' },
    { name: 'text alone', text: 'hello', says: 'no block' },
    { name: 'no end', text: '-----BEGIN X-----\nAAAA\n', says: 'without an END line' },
    { name: 'no beginning', text: 'AAAA\n-----END X-----\n', says: 'no BEGIN line matches' },
    { name: 'another end', text: '-----BEGIN X-----\nAAAA\n-----END Y-----\n', says: 'no BEGIN line matches' },
    { name: 'a block in a block', text: '-----BEGIN X-----\n-----BEGIN X-----\n', says: 'inside a block' },
    { name: 'a boundary that is cut', text: '-----BEGIN X----\nAAAA\n', says: 'not well formed' },
    { name: 'an empty block', text: block(''), says: 'base64' },
    { name: 'headers', text: block(`Proc-Type: 4,ENCRYPTED\n\n${base64}`), says: 'base64' },
    { name: 'base64url', text: block('-_-_'), says: 'base64' },
    { name: 'no padding', text: block('AAAAAA'), says: 'base64' },
    { name: 'bits behind the padding', text: block('AAAAAB=='), says: 'base64' },
    { name: 'a space in a line', text: block('AA AA'), says: 'base64' },
    { name: 'more than a MiB', text: `${pem}${' '.repeat(1024 * 1024)}`, says: '1048576 characters' },
  ])('$name', ({ text, says }) => {
    expect(() => pemDecode(text)).toThrow(refusal('pem_invalid', says))
  })

  test('invariant 6: without repeating what stood there', () => {
    expect(() => pemDecode(block('secretsecret!'))).toThrow(expect.not.objectContaining({ message: /secret/ }) as Error)
    try {
      pemDecode(block('secretsecret!'))
    } catch (error) {
      expect(String(error)).not.toContain('secret')
    }
  })
})
