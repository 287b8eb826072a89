import { readFileSync } from 'node:fs'

/** Commands of a document, and what it says that they print. */
export interface Step {
  readonly heading: string
  /** One command each; what a command reads from a here-document belongs to it. */
  readonly commands: readonly string[]
  /** Lines in the order in which they are printed, among others; `…` stands for whatever is different each time. */
  readonly expected: readonly string[]
}

/** The steps of a document: its blocks of this kind, each with the `text` block that follows it, if one does. */
export function stepsOf(document: string, kind: string): readonly Step[] {
  const steps: Step[] = []
  let heading = ''
  for (const [, title, fence, body = ''] of readFileSync(document, 'utf8').matchAll(
    /^#+ (.+)$|^```([a-z ]*)\n([\s\S]*?)^```$/gm,
  )) {
    const previous = steps.at(-1)
    if (title !== undefined) heading = title
    else if (fence === kind) steps.push({ heading, commands: commandsIn(body), expected: [] })
    else if (fence === 'text' && previous) steps[steps.length - 1] = { ...previous, expected: linesOf(body) }
  }
  return steps
}

/** The lines of `expected` that are not among those printed, in their order. */
export function missingFrom(printed: string, expected: readonly string[]): readonly string[] {
  const lines = linesOf(printed)
  return expected.filter((line) => {
    const parts = line.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
    const pattern = new RegExp(`^${parts.join('.*')}$`)
    const found = lines.findIndex((candidate) => pattern.test(candidate))
    if (found !== -1) lines.splice(0, found + 1)
    return found === -1
  })
}

function commandsIn(body: string): string[] {
  return body.match(/^.*<<END\n[\s\S]*?^END$|^.+$/gm) ?? []
}

const linesOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
