import { Buffer } from 'node:buffer'

/** One line of /proc/<pid>/mountinfo (proc_pid_mountinfo(5)). */
export interface MountEntry {
  /** `major:minor` of the file system. */
  readonly device: string
  readonly mountPoint: string
  readonly fsType: string
  /** What was said to be mounted; for a tmpfs, any name. */
  readonly source: string
  /** Of this mount and of its file system, together. */
  readonly options: readonly string[]
}

/** Reads mountinfo. A line that is not of its form is left out: the kernel writes none. */
export function parseMountInfo(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => parseLine(line) ?? [])
}

function parseLine(line: string): MountEntry | undefined {
  const fields = line.split(' ')
  // Any number of optional fields stands before the hyphen.
  const hyphen = fields.indexOf('-', 6)
  const [, , device, , mountPoint, options] = fields
  const [fsType, source, superOptions] = fields.slice(hyphen + 1)
  if (hyphen === -1 || !device || !mountPoint || !options || !fsType || source === undefined) return undefined
  return {
    device,
    mountPoint: unescapeOctal(mountPoint),
    fsType: unescapeOctal(fsType),
    source: unescapeOctal(source),
    options: [...options.split(','), ...(superOptions ?? '').split(',').map(unescapeOctal)].filter(Boolean),
  }
}

/** The kernel writes space, tab, line feed, backslash and others as three octal digits. They are bytes, not characters. */
function unescapeOctal(text: string): string {
  if (!text.includes('\\')) return text
  const bytes = Buffer.from(text).toString('latin1')
  const unescaped = bytes.replaceAll(/\\([0-3][0-7]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
  return Buffer.from(unescaped, 'latin1').toString()
}

/** A `st_dev` of Linux as mountinfo writes it: `major:minor`. */
export function deviceOf(dev: number): string {
  const device = BigInt(dev)
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}
