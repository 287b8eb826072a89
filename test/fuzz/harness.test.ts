import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { defineTarget, property } from './harness.ts'
import { Rng } from './rng.ts'

const refuse = (): never => {
  throw new IdentityError('request_invalid', 'no')
}
const bug = (): never => {
  throw new TypeError('a bug')
}
const reportBug = (): never => {
  throw new IdentityError('internal', 'a bug')
}

test.for<{ name: string; run: () => void | Promise<void>; counts: object }>([
  { name: 'returns', run: () => undefined, counts: { accepted: 5, refused: 0 } },
  { name: 'refuses', run: refuse, counts: { accepted: 0, refused: 5 } },
  { name: 'refuses later', run: () => Promise.resolve().then(refuse), counts: { accepted: 0, refused: 5 } },
])('a target that $name has not failed', async ({ run, counts }) => {
  const target = defineTarget({ name: 'x', generate: () => '', run, plantedFault: { description: '', run: bug } })
  expect(await target.fuzz({ cases: 5, seed: 1 })).toEqual({ ...counts, failure: undefined })
})

test.for<{ name: string; run: () => void | Promise<void> }>([
  { name: 'throws anything else', run: bug },
  { name: 'throws anything else later', run: () => Promise.resolve().then(bug) },
  { name: 'refuses as internal', run: reportBug },
  { name: 'breaks a property', run: () => property(false, 'broken') },
  { name: 'takes too long', run: () => new Promise<void>((resolve) => setTimeout(resolve, 20)) },
])('a target that $name has failed', async ({ run }) => {
  const generate = (rng: Rng): Uint8Array => rng.bytes(2)
  const target = defineTarget({ name: 'x', generate, run, plantedFault: { description: '', run: bug }, maxMs: 10 })
  const { failure } = await target.fuzz({ cases: 5, seed: 7 })
  expect(failure).toMatchObject({ seed: 7, input: Buffer.from(new Rng(7).bytes(2)).toString('hex') })
  expect(await target.replay(failure?.input ?? '')).toMatchObject({ verdict: 'failed' })
})

test('the same seed makes the same choices', () => {
  const choices = (seed: number): unknown =>
    new Rng(seed).list(5, 9, () => 0).map((_, index, { length }) => [index, length])
  expect(choices(3)).toEqual(choices(3))
  expect(new Rng(3).bytes(8)).not.toEqual(new Rng(4).bytes(8))
})
