/** One entry of a tar archive; a folder's name ends in `/`. */
export interface TarEntry {
  name: string
  mode: number
  content?: Uint8Array
  /** Makes the entry a symbolic link to this. */
  linkTo?: string
}

const BLOCK = 512

/** A ustar archive. Owner 0, time 0: the same entries always give the same bytes. */
export function tar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = []
  for (const entry of entries) {
    const content = entry.content ?? new Uint8Array()
    parts.push(header(entry, content.length), Buffer.from(content), Buffer.alloc(-content.length & (BLOCK - 1)))
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)])
}

function header({ name, mode, linkTo }: TarEntry, size: number): Buffer {
  const [prefix, suffix] = splitName(name)
  if (Buffer.byteLength(linkTo ?? '') > 100) throw new Error(`the link ${name} is too long for tar`)
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, offset: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1')
  }
  block.write(suffix, 0, 'utf8')
  block.write(prefix, 345, 'utf8')
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  block.fill(' ', 148, 156)
  block.write(linkTo !== undefined ? '2' : name.endsWith('/') ? '5' : '0', 156, 'latin1')
  block.write(linkTo ?? '', 157, 'utf8')
  block.write('ustar\u000000', 257, 'latin1')
  // The sum of all bytes, with its own field taken as spaces.
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

/** The two fields in which ustar keeps a name: up to 155 bytes before a `/`, and up to 100 after it. */
function splitName(name: string): [prefix: string, suffix: string] {
  if (Buffer.byteLength(name) <= 100) return ['', name]
  for (let slash = name.indexOf('/'); slash !== -1 && slash < name.length - 1; slash = name.indexOf('/', slash + 1)) {
    const [prefix, suffix] = [name.slice(0, slash), name.slice(slash + 1)]
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(suffix) <= 100) return [prefix, suffix]
  }
  throw new Error(`the name ${name} is too long for tar`)
}
