import type { Measured } from './figure.ts'

const COLUMNS = ['figure', 'value', 'floor', 'ratio', 'goal', 'met?'] as const

/** The figures as a table, notes below it. */
export function tableOf(measured: readonly Measured[]): string {
  const rows = measured.map(({ figure, value, floorMicros, ratio, goal, met }) => [
    figure,
    value,
    floorMicros === undefined ? '' : `${floorMicros.toFixed(1)} µs`,
    ratio === undefined ? '' : ratio.toFixed(2),
    goal ?? '',
    met === undefined ? '' : met ? 'yes' : 'NO',
  ])
  const widths = COLUMNS.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const notes = measured.flatMap(({ figure, note }) => (note === undefined ? [] : [`  ${figure}: ${note}`]))
  return [line(COLUMNS), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line), '', ...notes].join('\n')
}
