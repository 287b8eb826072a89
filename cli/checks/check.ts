/** What came of a check. `skip`: it could not be looked at, and another check says why. */
export type Outcome = 'pass' | 'warn' | 'fail' | 'skip'

/** One of several things that a check found wrong. */
export interface Finding {
  /** For example a node, or `shop/checkout`. */
  readonly subject: string
  readonly reason: string
  readonly remedy?: string | undefined
}

/** What a check says. */
export interface Verdict {
  readonly outcome: Outcome
  /** What was found, in one sentence. */
  readonly reason: string
  /** What to do; always there after `fail`. */
  readonly remedy?: string | undefined
  readonly findings?: readonly Finding[]
}

/** One line of `countersign check`: a pure judgement of what was gathered. */
export interface Check<Facts> {
  /** For programs and for the anchor in docs/cli.md; never renamed. */
  readonly id: string
  readonly category: string
  /** What holds if it passes. */
  readonly title: string
  /** Why it matters: for the document. */
  readonly about: string
  run(facts: Facts): Verdict
}

/** What was learnt of the world, or why it could not be. */
export type Read<T> = { readonly value: T } | { readonly failure: ReadFailure }

/** Why something could not be read. */
export interface ReadFailure {
  readonly kind: 'forbidden' | 'unreachable' | 'other'
  readonly message: string
}

export const pass = (reason: string): Verdict => ({ outcome: 'pass', reason })
export const skip = (reason: string): Verdict => ({ outcome: 'skip', reason })

export function warn(reason: string, remedy: string, findings?: readonly Finding[]): Verdict {
  return { outcome: 'warn', reason, remedy, ...(findings && { findings }) }
}

export function fail(reason: string, remedy: string, findings?: readonly Finding[]): Verdict {
  return { outcome: 'fail', reason, remedy, ...(findings && { findings }) }
}

/**
 * Judges what was read. What the caller may not read is a warning, for nobody knows whether it is well; what could not be
 * reached is skipped, for the check of reaching it fails.
 */
export function judged<T>(read: Read<T>, judge: (value: T) => Verdict): Verdict {
  if ('value' in read) return judge(read.value)
  const { kind, message } = read.failure
  if (kind === 'forbidden')
    return warn(
      `it may not be looked at: ${message}`,
      'Ask for the permission (once Countersign is installed, the roles countersign-cli-user have it: docs/cli.md), or have somebody check who has it.',
    )
  return kind === 'unreachable'
    ? skip(message)
    : warn(message, 'Try again; if it stays, the message says what to look at.')
}

/** The value, where there is one. */
export function valueOf<T>(read: Read<T>): T | undefined {
  return 'value' in read ? read.value : undefined
}

/** `1 node`, `2 nodes`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`
}
