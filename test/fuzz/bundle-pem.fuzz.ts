import { pemDecode } from '../../core/pki/pem.ts'
import { bundleFromPem, bundleToPem } from '../../core/spiffe/bundle.ts'
import { A_EXAMPLE, anAuthority } from '../vectors/issued.ts'
import { bendBytes } from './der-tree.ts'
import { defineTarget, property } from './harness.ts'

const PEM = [anAuthority(), anAuthority()].map(({ certificate }) =>
  bundleToPem({ trustDomain: A_EXAMPLE, authorities: [certificate], sequence: 0n }),
)
const BETWEEN = ['', '', '\n', '# ours\n', '-----BEGIN CERTIFICATE-----\n', '-----END CERTIFICATE-----\n', ' ', '\0']

/** What is read from PEM was there, whole, in padded base64. */
export const target = defineTarget<string>({
  name: 'bundle-pem',
  generate(rng) {
    const blocks = rng.list(0, 3, () => rng.pick(BETWEEN) + rng.pick(PEM))
    const text = blocks.join('') + rng.pick(BETWEEN)
    const bent = rng.oneIn(2) ? Buffer.from(bendBytes(rng, Buffer.from(text))).toString('latin1') : text
    return rng.oneIn(4) ? bent.replaceAll('\n', '\r\n') : bent
  },
  run(text) {
    check(
      text,
      bundleFromPem(A_EXAMPLE, text).authorities.map(({ der }) => der),
    )
  },
  plantedFault: {
    description: 'blocks are found by an expression that skips what it does not know',
    run(text) {
      check(
        text,
        Array.from(text.matchAll(/BEGIN CERTIFICATE-+([^-]*)/g), ([, base64]) => Buffer.from(base64 ?? '', 'base64')),
      )
    },
  },
})

function check(text: string, certificates: readonly Buffer[]): void {
  const solid = text.replaceAll(/[\r\n ]/g, '')
  for (const der of certificates) {
    const base64 = der.toString('base64')
    property(
      solid.includes(`-----BEGINCERTIFICATE-----${base64}-----ENDCERTIFICATE-----`),
      'a block was read that is not there',
    )
  }
  property(pemDecode(text).length >= certificates.length, 'more was read than there are blocks')
}
