import { Buffer } from 'node:buffer'
import { IdentityError } from '../runtime/errors.ts'

/** One block of PEM. */
export interface PemBlock {
  /** What stands after BEGIN, for example `CERTIFICATE`. */
  readonly label: string
  readonly der: Buffer
}

const LINE = 64
/** Bundles are the largest files there are; 1 MiB holds a thousand certificates. */
const MAX_CHARACTERS = 1024 * 1024

/** One block, with the line lengths that RFC 7468 §2 asks of generators, ended by a line feed. */
export function pemEncode(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString('base64')
  const lines = base64.match(new RegExp(`.{1,${LINE}}`, 'g')) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

/**
 * Reads every block of `text`. Text between blocks is skipped, as RFC 7468 §2 has it (files say there what follows), but
 * a block itself must be exact: padded base64 and nothing else, ended by its own label. No headers, no encryption.
 *
 * @param text at most 1,048,576 characters. Line ends may be LF or CRLF.
 * @returns at least one block.
 * @throws {@link IdentityError} `pem_invalid`. What stood in the text is never repeated: it may be a key.
 */
export function pemDecode(text: string): PemBlock[] {
  if (text.length > MAX_CHARACTERS) refuse(`more than ${MAX_CHARACTERS} characters`)
  const blocks: PemBlock[] = []
  let open: { label: string; base64: string } | undefined
  for (const line of text.split(/\r?\n/)) {
    const boundary = /^-----(BEGIN|END) ([A-Z0-9]+(?:[ -][A-Z0-9]+)*)-----\s*$/.exec(line)
    if (boundary?.[1] === 'BEGIN') {
      if (open) refuse('a BEGIN line inside a block')
      open = { label: boundary[2] ?? '', base64: '' }
    } else if (boundary) {
      if (!open || open.label !== boundary[2]) return refuse('an END line that no BEGIN line matches')
      blocks.push({ label: open.label, der: decodeBase64(open.base64) })
      open = undefined
    } else if (open) {
      open.base64 += line.trimEnd()
    } else if (line.includes('-----')) {
      refuse('a boundary line that is not well formed')
    }
  }
  if (open) refuse('a block without an END line')
  if (blocks.length === 0) refuse('no block at all')
  return blocks
}

/** Strict: Node's own decoder skips what it does not know. */
function decodeBase64(base64: string): Buffer {
  const der = Buffer.from(base64, 'base64')
  if (der.length === 0 || der.toString('base64') !== base64) refuse('a block that is not padded base64')
  return der
}

function refuse(what: string): never {
  throw new IdentityError('pem_invalid', `the PEM text has ${what}`)
}
