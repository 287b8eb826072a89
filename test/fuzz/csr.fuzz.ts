import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { createCsr, parseCsr, type ProvenKey } from '../../core/pki/csr.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { vector } from '../vectors/vector.ts'
import { bendBytes, bendDer, bendTree, type DerNode, readTree, writeTree } from './der-tree.ts'
import { defineTarget, property } from './harness.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const CORPUS = [createCsr(privateKey), ...['csr/good-p256', 'csr/good-rsa-2048', 'csr/greedy'].flatMap(vector)]
const OWN = createCsr(privateKey)

/** Invariant 1: a key leaves only if the request proves it, and nothing else leaves. */
export const target = defineTarget<Uint8Array>({
  name: 'csr',
  generate(rng) {
    if (rng.oneIn(2)) return bendDer(rng, rng.pick(CORPUS))
    // Bent inside, and signed anew: what a hostile holder of a key can send.
    const [request] = readTree(OWN) ?? []
    if (!request || request.body instanceof Uint8Array) return OWN
    const [info, algorithm] = request.body
    if (!info || !algorithm) return OWN
    const tree = [info]
    for (const _ of rng.list(0, 2, () => 0)) bendTree(rng, tree)
    const signature = sign('sha256', writeTree(tree), privateKey)
    const bits: DerNode = { tag: 0x03, body: Buffer.concat([Buffer.of(0), signature]), length: 'minimal' }
    const der = writeTree([{ tag: 0x30, body: [...tree, algorithm, bits], length: 'minimal' }])
    return rng.oneIn(16) ? bendBytes(rng, der) : der
  },
  run: (der) => check(der, parseCsr(der)),
  plantedFault: {
    description: 'the key is taken before the signature is verified',
    run: (der) => check(der, parseUnproven(der)),
  },
})

function check(der: Uint8Array, key: ProvenKey): void {
  property(Object.keys(key).sort().join() === 'keyType,spki', 'something besides the key left the request')
  const [request] = readTree(der) ?? []
  property(Array.isArray(request?.body), 'what is no SEQUENCE was accepted')
  const [info, algorithm, signature] = request.body
  property(Array.isArray(info?.body) && Array.isArray(algorithm?.body), 'a request without members was accepted')
  property(signature?.body instanceof Uint8Array, 'a request without a signature was accepted')
  // The digest by the last octet of ecdsa-with-SHA2, and SHA-256 of what else is in the corpus.
  const name = algorithm.body[0]?.body
  const last = name instanceof Uint8Array && name.length === 8 ? name.at(-1) : undefined
  const digest = last === 3 ? 'sha384' : last === 4 ? 'sha512' : 'sha256'
  const spki = { key: key.spki, format: 'der', type: 'spki' } as const
  property(verify(digest, writeTree([info]), spki, signature.body.subarray(1)), 'the signature proves nothing')
}

/** Takes a request apart without looking at its signature. */
function parseUnproven(der: Uint8Array): ProvenKey {
  const [request] = readTree(der) ?? []
  const [info] = Array.isArray(request?.body) ? request.body : []
  const [, , spki] = Array.isArray(info?.body) ? info.body : []
  try {
    const key = { spki: writeTree(spki ? [spki] : []), keyType: 'ec-p256' } as const
    verify('sha256', der, { key: key.spki, format: 'der', type: 'spki' }, Buffer.alloc(70))
    return key
  } catch (error) {
    throw new IdentityError('csr_invalid', 'no key', { cause: error })
  }
}
