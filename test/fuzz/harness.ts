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
  readonly run: (input: Input) => void | Promise<void>
  /** A bug as somebody might write it, put in the place of what is tested: proof that the fuzzer would find it. */
  readonly plantedFault: { readonly description: string; readonly run: (input: Input) => void | Promise<void> }
  /** What one input may take, in milliseconds. Default 500. */
  readonly maxMs?: number
}

/** A target whose kind of input no longer matters. */
export interface DefinedTarget {
  readonly name: string
  readonly fault: string
  /** Runs `cases` cases, and stops at the first failure. */
  readonly fuzz: (options: FuzzOptions) => Promise<FuzzResult>
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
  /** With `cases: 1` it fails at once. */
  readonly seed: number
  /** The input: hex for bytes, JSON for all else. */
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
  }
}

async function fuzz<Input>(
  { generate, maxMs = 500 }: Target<Input>,
  run: (input: Input) => void | Promise<void>,
  { cases, seed }: FuzzOptions,
): Promise<FuzzResult> {
  const counts = { accepted: 0, refused: 0 }
  for (let index = 0; index < cases; index += 1) {
    const input = generate(new Rng(seed + index))
    const start = performance.now()
    try {
      // Most targets are synchronous, and a turn of the event loop for each case would cost more than they do.
      const running = run(input)
      if (running) await running
      counts.accepted += 1
    } catch (error) {
      if (!(error instanceof IdentityError) || error.code === 'internal') {
        return { ...counts, failure: { seed: seed + index, input: show(input), error } }
      }
      counts.refused += 1
    }
    const took = performance.now() - start
    if (took > maxMs) {
      const error = new PropertyError(`took ${Math.round(took)} ms`)
      return { ...counts, failure: { seed: seed + index, input: show(input), error } }
    }
  }
  return { ...counts, failure: undefined }
}

function show(input: unknown): string {
  if (input instanceof Uint8Array) return Buffer.from(input).toString('hex')
  return (
    JSON.stringify(input, (_name, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)) ?? String(input)
  )
}
