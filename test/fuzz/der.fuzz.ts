import asn1 from 'node-forge/lib/asn1.js'
import { type DerValue, readDer } from '../../core/pki/der.ts'
import { vector } from '../vectors/vector.ts'
import { bendDer, bendTree, type DerNode, writeTree } from './der-tree.ts'
import { defineTarget, property } from './harness.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Rng } from './rng.ts'

const CORPUS = ['x509-svid/good', 'x509-svid/good-rsa', 'x509-svid/intermediate', 'csr/greedy'].flatMap(vector)

/** Invariant 10: what is read would be written the same. */
export const target = defineTarget<Uint8Array>({
  name: 'der',
  generate(rng) {
    if (rng.oneIn(2)) return bendDer(rng, rng.pick(CORPUS))
    const tree = [grow(rng, 4)]
    if (rng.oneIn(2)) bendTree(rng, tree)
    return writeTree(tree)
  },
  run: (bytes) => property(write(readDer(bytes)).equals(bytes), 'what was read is written in another way'),
  plantedFault: {
    description: 'node-forge alone, which takes BER for DER',
    run(bytes) {
      const parsed = parseAsForgeDoes(Buffer.from(bytes).toString('latin1'))
      property(asn1.toDer(parsed).getBytes() === Buffer.from(bytes).toString('latin1'), 'BER was accepted')
    },
  },
})

/** A tree of random shape and random, mostly legal, leaves. */
function grow(rng: Rng, depth: number): DerNode {
  if (depth > 0 && !rng.oneIn(3)) {
    return {
      tag: rng.pick([0x30, 0x30, 0x31, 0xa0]),
      body: rng.list(0, 3, () => grow(rng, depth - 1)),
      length: 'minimal',
    }
  }
  const [tag, body] = rng.pick<[number, Uint8Array]>([
    [0x01, Uint8Array.of(rng.pick([0x00, 0xff, 0x01]))],
    [0x02, rng.bytes(rng.below(4))],
    [0x03, Buffer.concat([Uint8Array.of(rng.below(9)), rng.bytes(rng.below(3))])],
    [0x04, rng.bytes(rng.below(300))],
    [0x05, new Uint8Array()],
    [0x06, rng.bytes(1 + rng.below(4))],
    [0x0c, rng.bytes(rng.below(5))],
    [rng.below(256), rng.bytes(rng.below(3))],
  ])
  return { tag, body, length: 'minimal' }
}

/** Writes a value again from tags and primitive contents alone. */
function write({ tag, children, contents }: DerValue): Buffer {
  const isConstructed = (tag & 0x20) !== 0
  return writeTree([{ tag, body: isConstructed ? Buffer.concat(children.map(write)) : contents, length: 'minimal' }])
}

function parseAsForgeDoes(binary: string): ReturnType<typeof asn1.fromDer> {
  try {
    return asn1.fromDer(binary, { strict: true, parseAllBytes: true, decodeBitStrings: false, maxDepth: 24 })
  } catch (error) {
    throw new IdentityError('der_invalid', 'not DER', { cause: error })
  }
}
