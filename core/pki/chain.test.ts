import { describe, expect, test } from 'vitest'
import { A_EXAMPLE, anAuthority, aSerialNumber, AT, svidRequest } from '../../test/vectors/issued.ts'
import { refusal } from '../../test/vectors/refusal.ts'
import { vector } from '../../test/vectors/vector.ts'
import { createIntermediateCertificate } from '../spiffe/authority-certificate.ts'
import { x509SvidTemplate } from '../spiffe/x509-svid.ts'
import { issuerOf, type Issuer, signCertificate } from './certificate-builder.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
import { verifyChain } from './chain.ts'
import { generateKeyPair, spkiOf } from './key.ts'

const root = anAuthority()
const other = anAuthority()
const leaf = parseCertificate(signCertificate(x509SvidTemplate(svidRequest()), root.issuer))

/** `count` intermediates below the root, the last first, and a leaf before them. */
async function chainOf(count: number, pathLength: number): Promise<Certificate[]> {
  let issuer: Issuer = root.issuer
  const chain: Certificate[] = []
  for (let index = 0; index < count; index += 1) {
    const { privateKey, publicKey } = await generateKeyPair('ec-p256')
    const { notBefore, notAfter } = svidRequest()
    const serialNumber = aSerialNumber()
    const request = {
      trustDomain: A_EXAMPLE,
      serialNumber,
      notBefore,
      notAfter,
      spki: spkiOf(publicKey),
      issuer,
      pathLength,
    }
    const intermediate = parseCertificate(createIntermediateCertificate(request))
    issuer = issuerOf(intermediate, privateKey)
    chain.unshift(intermediate)
  }
  return [parseCertificate(signCertificate(x509SvidTemplate(svidRequest()), issuer)), ...chain]
}

test('finds the anchor among others', () => {
  expect(verifyChain([leaf], [other.certificate, root.certificate], AT)).toEqual([leaf, root.certificate])
})

test('takes what follows the path for nothing', () => {
  expect(verifyChain([leaf, other.certificate, leaf], [root.certificate], AT)).toEqual([leaf, root.certificate])
})

describe('validity', () => {
  test.for([
    { name: 'the first moment', at: leaf.notBefore, valid: true },
    { name: 'a millisecond before', at: new Date(leaf.notBefore.getTime() - 1), valid: false },
    { name: 'the last second', at: new Date(leaf.notAfter.getTime() + 999), valid: true },
    { name: 'the second after', at: new Date(leaf.notAfter.getTime() + 1000), valid: false },
  ])('at $name: $valid', ({ at, valid }) => {
    const attempt = (): unknown => verifyChain([leaf], [root.certificate], at)
    if (valid) expect(attempt()).toHaveLength(2)
    else expect(attempt).toThrow(refusal('chain_untrusted'))
  })
})

describe('path length', () => {
  test('counts the intermediates below', async () => {
    const chain = await chainOf(3, 2)
    expect(verifyChain(chain, [root.certificate], AT)).toHaveLength(5)
  })

  test('is enforced', async () => {
    const chain = await chainOf(2, 0)
    expect(() => verifyChain(chain, [root.certificate], AT)).toThrow(refusal('chain_untrusted', 'no path so long'))
  })

  // RFC 5280 §4.2.1.9: what an authority issues to itself, to change its key, does not count.
  test('does not count what is self-issued', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ec-p256')
    const certificate = createIntermediateCertificate({
      ...svidRequest(),
      trustDomain: A_EXAMPLE,
      // The name of an authority holds its serial number, and so this is the root's name.
      serialNumber: Buffer.from(root.certificate.serialNumber, 'hex'),
      spki: spkiOf(publicKey),
      issuer: root.issuer,
    })
    const renewed = parseCertificate(certificate)
    expect(renewed.subject).toEqual(renewed.issuer)
    const end = signCertificate(x509SvidTemplate(svidRequest()), issuerOf(renewed, privateKey))
    const anchor: Certificate = { ...root.certificate, basicConstraints: { isCa: true, pathLength: 0 } }
    expect(verifyChain([parseCertificate(end), renewed], [anchor], AT)).toHaveLength(3)
    const [other, intermediate] = await chainOf(1, 0)
    if (!other || !intermediate) throw new TypeError('no chain')
    expect(() => verifyChain([other, intermediate], [anchor], AT)).toThrow(refusal('chain_untrusted', 'so long'))
  })

  test('at most 8 certificates', async () => {
    const chain = await chainOf(8, 9)
    expect(() => verifyChain(chain, [root.certificate], AT)).toThrow(refusal('chain_untrusted', 'more than 8'))
  })
})

describe('anchors', () => {
  // VX-09
  test('may be intermediates', async () => {
    const [end, intermediate] = await chainOf(1, 0)
    if (!end || !intermediate) throw new TypeError('no chain')
    expect(verifyChain([end], [intermediate], AT)).toEqual([end, intermediate])
  })

  test('none', () => expect(() => verifyChain([leaf], [], AT)).toThrow(refusal('chain_untrusted', 'does not lead')))

  test('are not matched by name alone', () => {
    const namesake: Certificate = {
      ...other.certificate,
      subject: root.certificate.subject,
      subjectKeyIdentifier: undefined,
    }
    expect(() => verifyChain([leaf], [namesake], AT)).toThrow(refusal('chain_untrusted', 'does not lead'))
    expect(verifyChain([leaf], [namesake, root.certificate], AT)).toHaveLength(2)
  })

  test('are not matched by key alone', () => {
    const renamed: Certificate = { ...root.certificate, subject: other.certificate.subject }
    expect(() => verifyChain([leaf], [renamed], AT)).toThrow(refusal('chain_untrusted', 'does not lead'))
  })

  test('are not tried where a key identifier says otherwise', () => {
    const misnamed: Certificate = { ...root.certificate, subjectKeyIdentifier: Buffer.of(1) }
    expect(() => verifyChain([leaf], [misnamed], AT)).toThrow(refusal('chain_untrusted', 'does not lead'))
  })

  test('with a key that is none vouch for nothing', () => {
    const broken: Certificate = { ...root.certificate, spki: Buffer.of(0x30, 0) }
    expect(() => verifyChain([leaf], [broken], AT)).toThrow(refusal('chain_untrusted', 'does not lead'))
  })
})

describe('keys that come from the peer', () => {
  /** The same certificate, and how often somebody has asked for its key. */
  function watched(certificate: Certificate): { certificate: Certificate; asked: () => number } {
    let asked = 0
    const get = () => {
      asked += 1
      return certificate.spki
    }
    return { certificate: Object.defineProperty({ ...certificate }, 'spki', { get }), asked: () => asked }
  }

  test.for([
    { name: 'no anchor at the end', anchors: [other.certificate] },
    { name: 'an anchor by name alone', anchors: [{ ...other.certificate, subject: root.certificate.subject }] },
    {
      name: 'an anchor that signed something else',
      anchors: [{ ...other.certificate, subject: root.certificate.subject, subjectKeyIdentifier: undefined }],
    },
  ])('verify nothing: $name', async ({ anchors }) => {
    const [end, ...intermediates] = (await chainOf(3, 3)).map(watched)
    if (!end) throw new TypeError('no chain')
    const chain = [end, ...intermediates].map(({ certificate }) => certificate)
    expect(() => verifyChain(chain, anchors, AT)).toThrow(refusal('chain_untrusted', 'does not lead'))
    expect(intermediates.map(({ asked }) => asked())).toEqual([0, 0, 0])
  })

  test('an intermediate that was not signed by the one above it', async () => {
    const [end, last, first] = await chainOf(2, 2)
    if (!end || !last || !first) throw new TypeError('no chain')
    const forged: Certificate = { ...last, signature: end.signature }
    expect(() => verifyChain([end, forged, first], [root.certificate], AT)).toThrow(
      refusal('chain_untrusted', 'does not lead'),
    )
    expect(() => verifyChain([{ ...end, signature: last.signature }, last, first], [root.certificate], AT)).toThrow(
      refusal('chain_untrusted', 'does not lead'),
    )
  })
})

test('an empty chain is refused', () => {
  expect(() => verifyChain([], [root.certificate], AT)).toThrow(refusal('chain_untrusted', 'empty'))
})

test('purposes count only when they are asked for', () => {
  const chain = vector('x509-svid/wrong-purpose').map(parseCertificate)
  const anchors = vector('x509-svid/authority-a').map(parseCertificate)
  expect(verifyChain(chain, anchors, AT)).toHaveLength(2)
  expect(() => verifyChain(chain, anchors, AT, { purpose: 'clientAuth' })).toThrow(
    refusal('chain_untrusted', 'clientAuth'),
  )
})
