/** One thing that the demonstration shows. */
export interface Step {
  /** A short name, the same in every run. */
  readonly step: string
  /** A sentence for people. */
  readonly says: string
  /** What can be checked: pids, serial numbers, peer IDs, audit records, paths. */
  readonly facts: Readonly<Record<string, unknown>>
}

/** Prints each step: for people, or as one JSON object per line. */
export function createReport(json: boolean, started: number): (step: Step) => void {
  return ({ step, says, facts }) => {
    if (json) {
      process.stdout.write(`${JSON.stringify({ step, says, ...facts })}\n`)
      return
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(5)
    const lines = Object.entries(facts).flatMap(([name, value]) => linesOf(name, value))
    process.stdout.write(`${bold(`${seconds}s  ${says}`)}\n${lines.map((line) => `        ${line}\n`).join('')}\n`)
  }
}

/** PEM is for programs; people get the rest on a line each. */
function linesOf(name: string, value: unknown): string[] {
  if (name === 'pem') return []
  if (Array.isArray(value)) return value.flatMap((item: unknown) => linesOf(name, item))
  if (typeof value === 'object' && value !== null) {
    const parts = Object.entries(value).filter(([key]) => key !== 'pem')
    return [`${dim(name.padEnd(12))} ${parts.map(([key, item]) => `${dim(`${key}=`)}${String(item)}`).join('  ')}`]
  }
  return [`${dim(name.padEnd(12))} ${String(value)}`]
}

const colour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
const bold = (text: string) => (colour ? `\u001B[1m${text}\u001B[22m` : text)
const dim = (text: string) => (colour ? `\u001B[2m${text}\u001B[22m` : text)
