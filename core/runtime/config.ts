import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { parseDuration } from './duration.ts'
import { IdentityError } from './errors.ts'
import { readYaml } from './yaml-text.ts'

/** One thing that is wrong with a document, and where. */
export interface Problem {
  /** For example `issuance.minTtl`; empty for the document itself. */
  readonly path: string
  readonly message: string
}

/** Largest document that is read, in bytes. */
const MAX_BYTES = 1024 * 1024

const durationText = z.string({
  error: ({ input }) => (typeof input === 'number' ? 'write a duration such as 90s' : undefined),
})

/** A duration as text with a unit; becomes milliseconds. */
export const duration = durationText.transform((text, context) => {
  try {
    return parseDuration(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
    return z.NEVER
  }
})

/**
 * Reads a YAML (or JSON) file and checks it against `schema`, which should be strict: unknown keys are errors. All
 * problems are found at once.
 *
 * @throws `IdentityError` `config_invalid`, whose message has one line per problem.
 */
export function readConfigFile<S extends z.ZodType>(file: string, schema: S): z.output<S> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw configInvalid(file, [
      { path: '', message: `cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'}` },
    ])
  }
  return parseConfig(text, schema, file)
}

/** As {@link readConfigFile}, of a text; `name` is what messages call it. */
export function parseConfig<S extends z.ZodType>(text: string, schema: S, name: string): z.output<S> {
  const result = checkDocument(text, schema)
  if ('problems' in result) throw configInvalid(name, result.problems)
  return result.value
}

/** The value of a YAML text that keeps `schema`, or all that is wrong with it. Never throws. */
export function checkDocument<S extends z.ZodType>(
  text: string,
  schema: S,
): { readonly value: z.output<S> } | { readonly problems: readonly Problem[] } {
  if (Buffer.byteLength(text) > MAX_BYTES)
    return { problems: [{ path: '', message: `is larger than ${MAX_BYTES} bytes` }] }
  const read = readYaml(text)
  if ('problems' in read) return { problems: read.problems.map((message) => ({ path: '', message })) }
  if (read.value === null) return { problems: [{ path: '', message: 'is empty' }] }
  return checkValue(read.value, schema)
}

/** As {@link checkDocument}, of what has been read already. */
export function checkValue<S extends z.ZodType>(
  value: unknown,
  schema: S,
): { readonly value: z.output<S> } | { readonly problems: readonly Problem[] } {
  const result = schema.safeParse(value, { error: requiredOf })
  return result.success ? { value: result.data } : { problems: result.error.issues.map(problemOf) }
}

/** What is missing cannot be of a wrong type, and nothing is not too small; for everything else zod's own words stay. */
function requiredOf({ code, input }: z.core.$ZodRawIssue): string | undefined {
  if (code === 'too_small' && input === '') return 'must not be empty'
  return code === 'invalid_type' && input === undefined ? 'is required' : undefined
}

function problemOf(issue: z.core.$ZodIssue): Problem {
  const path = issue.path.map(String).join('.')
  return { path, message: issue.message.replace(/^Invalid input: /, '') }
}

/** One problem in one line. */
export function describeProblem({ path, message }: Problem): string {
  return path === '' ? message : `${path}: ${message}`
}

/** One line per problem under the name of the document. */
export function describeProblems(name: string, problems: readonly Problem[]): string {
  const lines = problems.map((problem) => `  ${describeProblem(problem)}`)
  return [`${name}:`, ...lines].join('\n')
}

const configInvalid = (name: string, problems: readonly Problem[]) =>
  new IdentityError('config_invalid', describeProblems(name, problems))
