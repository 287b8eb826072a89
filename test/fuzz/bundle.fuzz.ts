import { decodeBundleDocument, encodeBundleDocument, type SpiffeBundle } from '../../core/spiffe/bundle-document.ts'
import { x509Bundle } from '../../core/spiffe/bundle.ts'
import { A_EXAMPLE, anAuthority } from '../vectors/issued.ts'
import { bendBytes, bendDer } from './der-tree.ts'
import { defineTarget, property } from './harness.ts'
import type { Rng } from './rng.ts'

const CERTIFICATES = [anAuthority(), anAuthority()].map(({ certificate }) => certificate.der)
const NUMBERS = [
  '0',
  '7',
  '-1',
  '1.5',
  '1e3',
  '9007199254740993',
  '18446744073709551615',
  '18446744073709551616',
  '"7"',
]
const SECRET = 'c2VjcmV0'

/** What is read is written the same again, to the last digit, and never a private member. */
export const target = defineTarget<string>({
  name: 'bundle',
  generate(rng) {
    const members = [`"keys":[${rng.list(0, 3, () => aKey(rng)).join()}]`]
    if (!rng.oneIn(3)) members.push(`"spiffe_sequence":${rng.pick(NUMBERS)}`)
    if (rng.oneIn(2)) members.push(`"spiffe_refresh_hint":${rng.pick(['300', '0', '-5', '0.5', 'null', '"1"'])}`)
    if (rng.oneIn(10)) members.push(rng.pick(members))
    if (rng.oneIn(5)) members.push('"other":{"keys":[1]}')
    const text = `{${members.join()}}`
    return rng.oneIn(4) ? Buffer.from(bendBytes(rng, Buffer.from(text))).toString() : text
  },
  run: (text) => check(text, decodeBundleDocument(A_EXAMPLE, text)),
  plantedFault: {
    description: 'JSON.parse, which rounds the sequence and keeps the last of two members',
    run(text) {
      const { x509, jwtAuthorities } = decodeBundleDocument(A_EXAMPLE, text)
      const { spiffe_sequence: rounded = 0 } = JSON.parse(text) as { spiffe_sequence?: number }
      check(text, {
        x509: x509Bundle(A_EXAMPLE, x509.authorities, { ...x509, sequence: BigInt(rounded) }),
        jwtAuthorities,
      })
    },
  },
})

function aKey(rng: Rng): string {
  const certificate = rng.oneIn(4) ? bendDer(rng, rng.pick(CERTIFICATES)) : rng.pick(CERTIFICATES)
  const base64 = Buffer.from(certificate).toString(rng.oneIn(10) ? 'base64url' : 'base64')
  const members: Record<string, unknown> = { kty: rng.pick(['EC', 'EC', 'RSA', 'OKP', 'oct', 'X']) }
  if (!rng.oneIn(10)) members['use'] = rng.pick(['x509-svid', 'x509-svid', 'jwt-svid', 'jwt-svid', 'wit-svid', 'foo'])
  if (members['use'] === 'x509-svid') members['x5c'] = rng.oneIn(10) ? base64 : rng.list(0, 2, () => base64)
  else Object.assign(members, { kid: rng.pick(['k', 'k2', '', 7]), crv: 'P-256', x: 'AQ', y: 'Ag', n: 'AQ', e: 'AQAB' })
  if (rng.oneIn(4)) Object.assign(members, { d: SECRET, k: SECRET, __proto__: null })
  return JSON.stringify(members)
}

function check(text: string, bundle: SpiffeBundle): void {
  const written = encodeBundleDocument(bundle)
  property(
    encodeBundleDocument(decodeBundleDocument(A_EXAMPLE, written)) === written,
    'it is not written as it is read',
  )
  property(!written.includes(SECRET), 'a private member was kept')
  const [, digits] = /"spiffe_sequence":(\d+)[,}]/.exec(text) ?? []
  if (digits !== undefined) property(bundle.x509.sequence === BigInt(digits), 'the sequence is another')
  const base64 = bundle.x509.authorities.map(({ der }) => der.toString('base64'))
  property(
    base64.every((authority) => text.includes(authority)),
    'an authority is not in the document',
  )
  property(new Set(base64).size === base64.length, 'an authority is there twice')
}
