import type { Rng } from './rng.ts'

/** DER as a tree that can be bent: a second, forgiving reader and writer that shares nothing with the one under test. */
export interface DerNode {
  tag: number
  /** Members of what is constructed, and of an OCTET STRING that holds DER; else the contents. */
  body: DerNode[] | Uint8Array
  /** How its length is written. */
  length: 'minimal' | 'padded' | 'indefinite' | 'wrong'
}

const OCTET_STRING = 0x04

/** `undefined` if the bytes are no values with short tags and definite lengths, one after the other. */
export function readTree(bytes: Uint8Array): DerNode[] | undefined {
  const nodes: DerNode[] = []
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at] ?? 0
    const first = bytes[at + 1] ?? 0x80
    const octets = first < 0x80 ? 0 : first & 0x7f
    if (first === 0x80 || octets > 3 || (tag & 0x1f) === 0x1f) return undefined
    const start = at + 2 + octets
    const size = octets === 0 ? first : bytes.subarray(at + 2, start).reduce((sum, octet) => sum * 256 + octet, 0)
    if (start + size > bytes.length) return undefined
    const contents = bytes.subarray(start, start + size)
    nodes.push({ tag, body: membersOf(tag, contents) ?? contents, length: 'minimal' })
    at = start + size
  }
  return nodes
}

function membersOf(tag: number, contents: Uint8Array): DerNode[] | undefined {
  if ((tag & 0x20) !== 0) return readTree(contents)
  if (tag !== OCTET_STRING || contents[0] !== 0x30) return undefined
  // An OCTET STRING may hold anything; it is opened only if it closes again to the same.
  const members = readTree(contents)
  return members && writeTree(members).equals(contents) ? members : undefined
}

/** Writes `nodes`, each as its `length` says. */
export function writeTree(nodes: readonly DerNode[]): Buffer {
  return Buffer.concat(
    nodes.map(({ tag, body, length }) => {
      const contents = body instanceof Uint8Array ? body : writeTree(body)
      if (length === 'indefinite') return Buffer.concat([Buffer.of(tag, 0x80), contents, Buffer.of(0, 0)])
      return Buffer.concat([Buffer.of(tag, ...lengthOctets(contents.length, length)), contents])
    }),
  )
}

function lengthOctets(size: number, form: DerNode['length']): number[] {
  if (form === 'padded') return [0x83, size >> 16, (size >> 8) & 0xff, size & 0xff]
  const written = form === 'wrong' ? size + 1 : size
  if (written < 0x80) return [written]
  return written < 0x100 ? [0x81, written] : [0x82, (written >> 8) & 0xff, written & 0xff]
}

/** All nodes of the tree, outer ones first. */
export function allNodes(nodes: readonly DerNode[]): DerNode[] {
  return nodes.flatMap((node) => [node, ...(node.body instanceof Uint8Array ? [] : allNodes(node.body))])
}

const TAGS = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x13, 0x16, 0x17, 0x18, 0x30, 0x31, 0x80, 0x82, 0x86, 0xa0, 0xa3,
]

/** Bends one place of the tree; of an empty one there is none. */
export function bendTree(rng: Rng, roots: DerNode[]): void {
  if (roots.length === 0) return
  const node = rng.pick(allNodes(roots))
  const parents = [roots, ...allNodes(roots).flatMap(({ body }) => (body instanceof Uint8Array ? [] : [body]))]
  const siblings = rng.pick(parents.filter(({ length }) => length > 0))
  const at = rng.below(siblings.length)
  switch (rng.below(9)) {
    case 0:
      node.tag = rng.oneIn(2) ? rng.pick(TAGS) : rng.below(256)
      return
    case 1:
      node.length = rng.pick(['padded', 'indefinite', 'wrong'] as const)
      return
    case 2:
      siblings.splice(at, 1)
      return
    case 3:
      siblings.splice(at, 0, structuredClone(rng.pick(allNodes(roots))))
      return
    case 4:
      siblings.push(...siblings.splice(at, 1))
      return
    case 5:
      siblings.splice(at, 1, { tag: 0x30, body: [siblings[at] ?? node], length: 'minimal' })
      return
    case 6:
      siblings.splice(at, 0, { tag: rng.pick(TAGS), body: rng.bytes(rng.below(4)), length: 'minimal' })
      return
    default:
      if (node.body instanceof Uint8Array) node.body = bendBytes(rng, node.body)
      else node.body = node.body.toReversed()
  }
}

/** Bends `bytes` in one place: another bit or byte, one less, one more, the end cut off. */
export function bendBytes(rng: Rng, bytes: Uint8Array): Uint8Array {
  const at = rng.below(bytes.length)
  const bent = Uint8Array.from(bytes)
  switch (rng.below(6)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), rng.bytes(1 + rng.below(3)), bytes.subarray(at)])
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
    case 2:
      return bytes.subarray(0, at)
    case 3:
      bent[at] = rng.pick([0x00, 0x01, 0x7f, 0x80, 0xff])
      return bent
    case 4:
      bent[at] = rng.below(256)
      return bent
    default:
      bent[at] = (bent[at] ?? 0) ^ (1 << rng.below(8))
      return bent
  }
}

/** `der` as it is, or bent in one to three places, as DER or as bytes. */
export function bendDer(rng: Rng, der: Uint8Array): Uint8Array {
  const tree = readTree(der)
  if (rng.oneIn(8)) return der
  if (!tree || rng.oneIn(4)) return rng.list(1, 3, () => 0).reduce((bytes) => bendBytes(rng, bytes), der)
  for (const _ of rng.list(1, 3, () => 0)) bendTree(rng, tree)
  return writeTree(tree)
}
