import { IdentityError } from '../../core/runtime/errors.ts'
import { Rng } from './rng.ts'

/**
 * Something that reads what strangers send. A target returns, or throws an `IdentityError`; it does nothing else,
 * whatever it is given, and does it in time.
 */
export interface Target<Input> {
  /** How `npm run fuzz -- --target` knows it. */
  readonly name: string
  /** One input, of all the kinds that there are: right, nearly right, and nonsense. Every choice comes from `rng`. */
  readonly generate: (rng: Rng) => Input
  /**
   * Reads `input`, and checks what must hold of the result; a {@link PropertyError} says that it does not.
   *
   * @throws {@link IdentityError} to refuse the input.
   */
  readonly run: Run<Input>
  /** A bug as somebody might write it, put in the place of what is tested: proof that the fuzzer would find it. */
  readonly plantedFault: { readonly description: string; readonly run: Run<Input> }
  /** What one input may take, in milliseconds. Default 500. */
  readonly maxMs?: number
}

type Run<Input> = (input: Input) => void | Promise<void>

/** A target whose kind of input no longer matters. */
export interface DefinedTarget {
  readonly name: string
  readonly fault: string
  /** Runs `cases` cases, and stops at the first failure. */
  readonly fuzz: (options: FuzzOptions) => Promise<FuzzResult>
  /** Runs one input, as a {@link FuzzFailure} prints it. Keys are new in each process, so that a seed alone may not do. */
  readonly replay: (input: string) => Promise<Outcome>
}

export interface FuzzOptions {
  readonly cases: number
  /** Case `i` is made from `seed + i`, so that each can be run by itself. */
  readonly seed: number
  /** Whether the planted fault runs instead of the real thing. */
  readonly faulty?: boolean
}

export interface FuzzResult {
  readonly accepted: number
  readonly refused: number
  readonly failure: FuzzFailure | undefined
}

export interface FuzzFailure {
  /** With `cases: 1` it comes up at once. */
  readonly seed: number
  /** The input: bytes as hex, all else as JSON. */
  readonly input: string
  readonly error: unknown
}

/** What must hold does not. */
export class PropertyError extends Error {
  override readonly name = 'PropertyError'
}

/** @throws {@link PropertyError} unless `condition` holds. */
export function property(condition: boolean, what: string): asserts condition {
  if (!condition) throw new PropertyError(what)
}

/** Makes a target of its description. */
export function defineTarget<Input>(target: Target<Input>): DefinedTarget {
  const { name, plantedFault } = target
  return {
    name,
    fault: plantedFault.description,
    fuzz: ({ faulty = false, ...options }) => fuzz(target, faulty ? plantedFault.run : target.run, options),
    replay: async (input) => tryOne(target, target.run, unshow(input) as Input),
  }
}

async function fuzz<Input>(target: Target<Input>, run: Run<Input>, { cases, seed }: FuzzOptions): Promise<FuzzResult> {
  const counts = { accepted: 0, refused: 0 }
  for (let index = 0; index < cases; index += 1) {
    const input = target.generate(new Rng(seed + index))
    // Most targets are synchronous, and a turn of the event loop for each case would cost more than they do.
    const outcome = tryOne(target, run, input)
    const { verdict, error } = outcome instanceof Promise ? await outcome : outcome
    if (verdict === 'failed') return { ...counts, failure: { seed: seed + index, input: show(input), error } }
    counts[verdict] += 1
  }
  return { ...counts, failure: undefined }
}

interface Outcome {
  readonly verdict: 'accepted' | 'refused' | 'failed'
  readonly error?: unknown
}

function tryOne<Input>({ maxMs = 500 }: Target<Input>, run: Run<Input>, input: Input): Outcome | Promise<Outcome> {
  const start = performance.now()
  const inTime = (outcome: Outcome): Outcome => {
    const took = performance.now() - start
    return took > maxMs ? { verdict: 'failed', error: new PropertyError(`took ${Math.round(took)} ms`) } : outcome
  }
  try {
    const running = run(input)
    if (!running) return inTime({ verdict: 'accepted' })
    return running.then(
      () => inTime({ verdict: 'accepted' }),
      (error: unknown) => inTime(judge(error)),
    )
  } catch (error) {
    return inTime(judge(error))
  }
}

/** An `IdentityError` is a refusal; `internal` would be the name of a bug. */
function judge(error: unknown): Outcome {
  const isRefusal = error instanceof IdentityError && error.code !== 'internal'
  return { verdict: isRefusal ? 'refused' : 'failed', error }
}

/** Bytes as hex, all else as JSON, which never looks like hex but for numbers: no target takes those. */
function show(input: unknown): string {
  return input instanceof Uint8Array ? Buffer.from(input).toString('hex') : JSON.stringify(input)
}

function unshow(text: string): unknown {
  return /^[0-9a-f]*$/.test(text) ? Buffer.from(text, 'hex') : JSON.parse(text)
}
