/** Where text goes, and what may be done with it there. */
export interface Terminal {
  write(text: string): void
  /** Colours only where a person looks (and NO_COLOR is not set). */
  readonly hasColour: boolean
}

export type Colour = 'green' | 'yellow' | 'red' | 'dim' | 'bold'

const CODES: Record<Colour, readonly [on: number, off: number]> = {
  green: [32, 39],
  yellow: [33, 39],
  red: [31, 39],
  dim: [2, 22],
  bold: [1, 22],
}

/** `text` in a colour, if `terminal` has any. */
export function coloured({ hasColour }: Pick<Terminal, 'hasColour'>, colour: Colour, text: string): string {
  const [on, off] = CODES[colour]
  return hasColour ? `\u001B[${on}m${text}\u001B[${off}m` : text
}

/**
 * Text from elsewhere, as it may stand on a terminal: without control characters, which could move the cursor and forge
 * lines, and without the characters that turn the direction of writing.
 */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g, '�')
}

/** The same of text that must not become more than one line: the next could pass for one of ours. */
export function printableLine(text: string): string {
  return printable(text.replaceAll(/\s*\n\s*/g, ' '))
}
