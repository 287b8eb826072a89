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
