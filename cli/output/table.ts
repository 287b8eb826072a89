import { printable, printableLine } from '../../core/runtime/printable.ts'

const GAP = '   '

/** Columns as kubectl prints them: headings in capitals, each column as wide as its widest cell. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows.map((row) => row.map((cell) => printableLine(cell) || '-'))]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join(GAP)
          .trimEnd()}\n`,
    )
    .join('')
}

/** `name: value`, one a line, the values below each other; without those that are not known. */
export function fields(entries: readonly (readonly [name: string, value: string | undefined])[]): string {
  const known = entries.filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '')
  const width = Math.max(0, ...known.map(([name]) => name.length)) + 1
  return known
    .map(
      ([name, value]) =>
        `${`${name}:`.padEnd(width)}  ${printable(value).replaceAll('\n', `\n${' '.repeat(width + 2)}`)}\n`,
    )
    .join('')
}
