/**
 * `JSON.parse`, but for two things that it does silently: of members with the same name in one object it keeps the last,
 * and integers beyond 2^53 it rounds. Here the first is an error, and the second come out as `bigint`.
 *
 * @throws {SyntaxError} if `text` is no JSON, or an object of it has two members of one name.
 */
export function parseExactJson(text: string): unknown {
  // The third argument is of ECMAScript 2026 (JSON.parse source text access), and in every Node that this runs on.
  const value: unknown = JSON.parse(text, (_name, member: unknown, context?: { source?: string }) =>
    typeof member === 'number' && !Number.isSafeInteger(member) && /^-?\d+$/.test(context?.source ?? '')
      ? BigInt(context?.source ?? '')
      : member,
  )
  refuseDuplicates(text)
  return value
}

/** Strings, and what opens, closes and names. Sound because the text is known to be JSON. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}:]/g

function refuseDuplicates(text: string): void {
  const objects: Set<string>[] = []
  let lastString = ''
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{') objects.push(new Set())
    else if (token === '}') objects.pop()
    else if (token !== ':') lastString = token
    else {
      // Two spellings of a name (`a`, `\u0061`) are one name.
      const name = String(JSON.parse(lastString))
      if (objects.at(-1)?.has(name)) throw new SyntaxError('an object has two members of one name')
      objects.at(-1)?.add(name)
    }
  }
}
