import { createPublicKey } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { signCertificate } from '../../core/pki/certificate-builder.ts'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { parseCsr } from '../../core/pki/csr.ts'
import { pemEncode } from '../../core/pki/pem.ts'
import { x509SvidTemplate } from '../../core/spiffe/x509-svid.ts'
import { x509SvidViolations } from '../../core/spiffe/x509-svid-rules.ts'
import { anAuthority, svidRequest } from './issued.ts'
import { refusal } from './refusal.ts'
import { vector } from './vector.ts'

const accepted = [
  { name: 'good-p256', keyType: 'ec-p256' },
  { name: 'good-p384', keyType: 'ec-p384' },
  { name: 'good-sha384', keyType: 'ec-p256' },
  { name: 'good-rsa-2048', keyType: 'rsa-2048' },
  { name: 'good-rsa-3072', keyType: 'rsa-3072' },
  { name: 'greedy', keyType: 'ec-p256' },
]

const refused = [
  { name: 'wrong-compressed-point', code: 'key_unsupported', says: 'uncompressed point' },
  { name: 'wrong-curve-explicit', code: 'key_unsupported', says: 'not named' },
  { name: 'wrong-curve-p521', code: 'key_unsupported', says: 'curve other than' },
  { name: 'wrong-curve-secp256k1', code: 'key_unsupported', says: 'curve other than' },
  { name: 'wrong-ed25519', code: 'key_unsupported', says: 'neither EC nor RSA' },
  { name: 'wrong-rsa-1024', code: 'key_unsupported', says: 'another size' },
  { name: 'wrong-rsa-4096', code: 'key_unsupported', says: 'another size' },
  { name: 'wrong-rsa-exponent', code: 'key_unsupported', says: 'exponent' },
  { name: 'wrong-rsa-pss', code: 'csr_invalid', says: 'algorithm is not supported' },
  { name: 'wrong-sha1', code: 'csr_invalid', says: 'algorithm is not supported' },
]

function request(name: string): Uint8Array {
  const [der] = vector(`csr/${name}`)
  if (!der) throw new TypeError(`${name} is empty`)
  return der
}

test.for(accepted)('takes the key, as OpenSSL reads it, from $name', ({ name, keyType }) => {
  const der = request(name)
  const pem = execFileSync('openssl', ['req', '-noout', '-pubkey'], { input: pemEncode('CERTIFICATE REQUEST', der) })
  const spki = createPublicKey(pem).export({ format: 'der', type: 'spki' })
  expect(parseCsr(der)).toEqual({ keyType, spki })
})

test.for(refused)('refuses $name', ({ name, code, says }) => {
  expect(() => parseCsr(request(name))).toThrow(refusal(code, says))
})

describe('a request that asks to be a CA, an administrator and root', () => {
  test('invariant 1: nothing of it but the key reaches the certificate', () => {
    const der = request('greedy')
    const key = parseCsr(der)
    expect(Object.keys(key).sort()).toEqual(['keyType', 'spki'])
    const { issuer } = anAuthority()
    const certificate = signCertificate(x509SvidTemplate({ ...svidRequest(), ...key }), issuer)
    const leaf = parseCertificate(certificate)
    expect(x509SvidViolations(leaf)).toEqual([])
    expect(leaf).toMatchObject({ uris: ['spiffe://a.example/ns/shop/sa/cart'], dnsNames: [], subject: EMPTY_NAME })
    for (const asked of ['admin', 'root']) expect(certificate.includes(asked), asked).toBe(false)
    for (const asked of ['admin', 'root']) expect(Buffer.from(der).includes(asked), asked).toBe(true)
  })
})

const EMPTY_NAME = Buffer.of(0x30, 0)

test('every file here is spoken of', () => {
  const files = readdirSync(new URL('csr', import.meta.url)).map((file) => file.replace(/\.pem$/, ''))
  expect(files.sort()).toEqual([...accepted, ...refused].map(({ name }) => name).sort())
})
