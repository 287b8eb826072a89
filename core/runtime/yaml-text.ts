import { Composer, type CST, type Document, isScalar, Lexer, LineCounter, Parser, visit } from 'yaml'

/** Far more than any document of ours has; what is deeper would be walked through by functions that call themselves. */
const MAX_DEPTH = 100
/** Nobody mends more at once. */
const MAX_PROBLEMS = 20

const OPTIONS = {
  strict: true,
  stringKeys: true,
  logLevel: 'error',
  // What either does is done here instead: theirs takes time that grows with the square of the text, half a minute for
  // 256 KiB of `}`.
  uniqueKeys: false,
  prettyErrors: false,
} as const

/** What is wrong with a text, and where in it. */
interface Fault {
  readonly message: string
  readonly pos: readonly [number, ...unknown[]]
}

/**
 * Reads a text of one YAML (or JSON) document in a time that grows with its length and no faster. Never throws.
 *
 * @returns its value, or what is wrong with it.
 */
export function readYaml(text: string): { readonly value: unknown } | { readonly problems: readonly string[] } {
  const lines = new LineCounter()
  const tokens = tokensOf(text, lines)
  if (!tokens) return { problems: [`is nested deeper than ${MAX_DEPTH} levels`] }
  const [document, second] = new Composer(OPTIONS).compose(tokens, true, text.length)
  if (!document) return { problems: ['is empty'] }
  // What YAML only warns of (a tag that nobody knows) would be read as something else than was written.
  const faults: Fault[] = [...document.errors, ...document.warnings, ...repeatedKeys(document)]
  if (second) faults.push({ message: 'holds multiple documents', pos: [second.range[0]] })
  if (faults.length > 0) return { problems: faults.slice(0, MAX_PROBLEMS).map((fault) => describe(fault, lines)) }
  try {
    return { value: document.toJS({ maxAliasCount: 100 }) }
  } catch {
    return { problems: ['has too many or broken aliases'] }
  }
}

/** @returns nothing where it is nested too deeply, and no more than is worth telling of where it is broken. */
function tokensOf(text: string, lines: LineCounter): readonly CST.Token[] | undefined {
  const parser = new Parser(lines.addNewLine)
  const tokens: CST.Token[] = []
  let errors = 0
  lines.addNewLine(0)
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) {
      tokens.push(token)
      if (token.type === 'error' && (errors += 1) === MAX_PROBLEMS) return tokens
    }
    if (parser.stack.length > MAX_DEPTH) return undefined
  }
  for (const token of parser.end()) tokens.push(token)
  return tokens
}

function repeatedKeys(document: Document.Parsed): readonly Fault[] {
  const faults: Fault[] = []
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>()
      for (const { key } of items) {
        // What is no scalar has been refused as a key.
        if (!isScalar(key)) continue
        if (seen.has(key.value)) faults.push({ message: 'Map keys must be unique', pos: [key.range?.[0] ?? 0] })
        seen.add(key.value)
      }
    },
  })
  return faults
}

function describe({ message, pos: [offset] }: Fault, lines: LineCounter): string {
  const { line, col } = lines.linePos(offset)
  return `${message} at line ${line}, column ${col}`
}
