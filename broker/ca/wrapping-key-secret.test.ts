import { expect, test } from 'vitest'
import { systemRandom } from '../../core/runtime/random.ts'
import { type KeySecret, wrappingKeyFromSecret } from './wrapping-key-secret.ts'

const signal = new AbortController().signal

/** A Secret that is there or not, and who is first to make it. */
function secretOf(text: string | undefined, made?: string): KeySecret & { text: string | undefined } {
  return {
    title: 'Secret system/key',
    text,
    read() {
      return Promise.resolve(this.text)
    },
    create(own) {
      const isOurs = made === undefined
      this.text = made ?? own
      return Promise.resolve(isOurs)
    },
  }
}

const keyOf = (secret: KeySecret, isSealed: boolean) =>
  wrappingKeyFromSecret(secret, { isSealed: () => isSealed, random: systemRandom }, signal)
const text = (fill: number) => Buffer.alloc(32, fill).toString('base64')

test('the key of the Secret is used, whatever is sealed', async () => {
  const [one, other] = [await keyOf(secretOf(text(1)), false), await keyOf(secretOf(`${text(1)}\n`), true)]
  expect(one.isNew).toBe(false)
  expect(other.keyWrap.auditKey).toEqual(one.keyWrap.auditKey)
})

test('where there is none and nothing is sealed, one is made that is found again', async () => {
  const secret = secretOf(undefined)
  const { keyWrap, isNew } = await keyOf(secret, false)
  expect(isNew).toBe(true)
  expect((await keyOf(secret, true)).keyWrap.auditKey).toEqual(keyWrap.auditKey)
})

test('of two brokers that make one at once, both use the one that was made', async () => {
  const { keyWrap, isNew } = await keyOf(secretOf(undefined, text(2)), false)
  expect(isNew).toBe(false)
  expect(keyWrap.auditKey).toEqual((await keyOf(secretOf(text(2)), true)).keyWrap.auditKey)
})

test('where there is none and the ledger is sealed, never a new one', async () => {
  const secret = secretOf(undefined)
  await expect(keyOf(secret, true)).rejects.toMatchObject({
    code: 'key_store_locked',
    message: expect.stringContaining('restore the Secret from a back-up'),
  })
  expect(secret.text).toBeUndefined()
})

test.for(['', 'no key!', text(1).slice(0, 20)])(
  'invariant 6: a Secret with %j is refused and not repeated',
  async (held) => {
    const refusal = await keyOf(secretOf(held), false).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'key_store_locked' })
    if (held !== '') expect(String(refusal)).not.toContain(held)
  },
)
