import { printableLine } from '../../core/runtime/printable.ts'
import { count, type Outcome } from '../checks/check.ts'
import { type CheckResult, worst } from '../checks/run-checks.ts'
import { type Colour, coloured, type Terminal } from './terminal.ts'

const MARKS: Record<Outcome, readonly [mark: string, colour: Colour]> = {
  pass: ['✔', 'green'],
  warn: ['‼', 'yellow'],
  fail: ['✖', 'red'],
  skip: ['-', 'dim'],
}

/** A mark for an outcome, in its colour. */
export function markOf(outcome: Outcome, terminal: Pick<Terminal, 'hasColour'>): string {
  const [mark, colour] = MARKS[outcome]
  return coloured(terminal, colour, mark)
}

/** What `countersign check` prints: a line per check, by category, and what to do about each that did not pass. */
export function checkReport(results: readonly CheckResult[], terminal: Pick<Terminal, 'hasColour'>): string {
  const categories = Map.groupBy(results, ({ category }) => category)
  const parts = Array.from(categories, ([category, ofCategory]) =>
    [
      coloured(terminal, 'bold', category),
      '-'.repeat(category.length),
      ...ofCategory.flatMap((result) => linesOf(result, terminal)),
    ].join('\n'),
  )
  return `${[...parts, summaryOf(results, terminal)].join('\n\n')}\n`
}

function linesOf(result: CheckResult, terminal: Pick<Terminal, 'hasColour'>): string[] {
  const { id, outcome, title, reason, remedy, findings = [] } = result
  const mark = markOf(outcome, terminal)
  if (outcome === 'pass' || outcome === 'skip')
    return [`${mark} ${title}${coloured(terminal, 'dim', ` (${printableLine(reason)})`)}`]
  return [
    `${mark} ${title}`,
    `    ${printableLine(reason)}`,
    ...findings.flatMap((finding) => [
      `      ${printableLine(finding.subject)}: ${printableLine(finding.reason)}`,
      ...(finding.remedy ? [`        → ${printableLine(finding.remedy)}`] : []),
    ]),
    ...(remedy ? [`    → ${printableLine(remedy)}`] : []),
    coloured(terminal, 'dim', `    docs/cli.md#${id}`),
  ]
}

function summaryOf(results: readonly CheckResult[], terminal: Pick<Terminal, 'hasColour'>): string {
  const of = (outcome: Outcome) => results.filter((result) => result.outcome === outcome).length
  const [failed, warned, skipped] = [of('fail'), of('warn'), of('skip')]
  const overall = worst(results)
  const rest = [
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(warned > 0 ? [count(warned, 'warning')] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ]
  return `${markOf(overall, terminal)} ${[`${of('pass')} of ${count(results.length, 'check')} passed`, ...rest].join(', ')}`
}

/** The same for programs. */
export function checkDocument(results: readonly CheckResult[]): object {
  return {
    outcome: worst(results),
    checks: results.map(({ id, category, title, outcome, reason, remedy, findings }) => ({
      id,
      category,
      title,
      outcome,
      reason,
      ...(remedy && { remedy }),
      ...(findings && findings.length > 0 && { findings }),
      docs: `docs/cli.md#${id}`,
    })),
  }
}
