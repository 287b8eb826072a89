import { Buffer } from 'node:buffer'
import { IdentityError } from '../runtime/errors.ts'
import { TAG } from './der-tags.ts'

const KNOWN_TAGS: ReadonlySet<number> = new Set(Object.values(TAG))

/** As much of a value as its rules are about. */
interface Checked {
  readonly tag: number
  readonly contents: Buffer
  readonly children: readonly { readonly raw: Buffer }[]
}

/**
 * Refuses a value whose contents DER would write in another way, or whose type has rules that are not known here. It
 * looks at this value alone, its children have been looked at before.
 *
 * @throws {@link IdentityError} `der_invalid`.
 */
export function checkContents(value: Checked): void {
  const { tag } = value
  // X.690 §8.1.2.4: tag numbers from 31 up take more octets, which node-forge does not know. Nothing here needs them.
  if ((tag & 0x1f) === 0x1f) refuse('a tag number above 30')
  // Universal types have one legal form each; string types must be primitive (§10.2).
  if (tag < 0x40 && !KNOWN_TAGS.has(tag)) refuse(`the tag 0x${tag.toString(16).padStart(2, '0')}`)

  switch (tag) {
    case TAG.boolean:
      return checkBoolean(value.contents)
    case TAG.integer:
    case TAG.enumerated:
      return checkInteger(value.contents)
    case TAG.bitString:
      return checkBitString(value.contents)
    case TAG.null:
      if (value.contents.length > 0) refuse('a NULL with contents')
      return
    case TAG.oid:
      return checkOid(value.contents)
    case TAG.set:
      return checkSet(value)
  }
}

/** X.690 §11.1: TRUE is 0xff. */
function checkBoolean(contents: Uint8Array): void {
  if (contents.length !== 1 || (contents[0] !== 0x00 && contents[0] !== 0xff)) refuse('a BOOLEAN but 00 and ff')
}

/** X.690 §8.3.2: the shortest form, so the first nine bits are not all equal. */
function checkInteger(contents: Uint8Array): void {
  const [first, second] = contents
  if (first === undefined) refuse('an empty INTEGER')
  if (second === undefined) return
  if ((first === 0x00 && second < 0x80) || (first === 0xff && second >= 0x80)) refuse('a padded INTEGER')
}

/** X.690 §8.6.2 and §11.2.1: at most seven unused bits, each zero, none without a bit. */
function checkBitString(contents: Uint8Array): void {
  const [unused] = contents
  if (unused === undefined || unused > 7) refuse('a BIT STRING of no legal length')
  if (contents.length === 1 && unused > 0) refuse('an empty BIT STRING with unused bits')
  if (((contents.at(-1) ?? 0) & ((1 << unused) - 1)) !== 0 && contents.length > 1) {
    refuse('a BIT STRING with unused bits that are set')
  }
}

/**
 * Longer than any that is registered, of organizations' UUIDs too. An arc takes time with the square of its length to
 * write out: one of 64 KiB, which a stranger's certificate may hold, half a second.
 */
const MAX_OID_OCTETS = 64

/** X.690 §8.19.2: each arc in as few octets as it needs, and the last one ended. */
function checkOid(contents: Uint8Array): void {
  if (contents.length > MAX_OID_OCTETS) refuse(`an OBJECT IDENTIFIER of more than ${MAX_OID_OCTETS} octets`)
  let startsArc = true
  for (const octet of contents) {
    if (startsArc && octet === 0x80) refuse('a padded OBJECT IDENTIFIER')
    startsArc = octet < 0x80
  }
  if (contents.length === 0 || !startsArc) refuse('a truncated OBJECT IDENTIFIER')
}

/** X.690 §11.6: the values of a SET OF ascend by their encodings. (Nothing here is a SET of different types.) */
function checkSet({ children }: Pick<Checked, 'children'>): void {
  for (const [index, child] of children.entries()) {
    const previous = children[index - 1]
    if (previous && Buffer.compare(previous.raw, child.raw) > 0) refuse('a SET OF out of order')
  }
}

function refuse(what: string): never {
  throw new IdentityError('der_invalid', `not DER: ${what}`)
}
