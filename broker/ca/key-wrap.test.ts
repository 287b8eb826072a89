import { chmodSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { KeyWrap, looseModeOf } from './key-wrap.ts'

const directory = mkdtempSync(join(tmpdir(), 'wrapping-'))
const one = new KeyWrap(Buffer.alloc(32, 1))

function keyFile(text: string, mode = 0o600): string {
  const file = join(directory, `key-${text.length}-${mode}`)
  writeFileSync(file, text)
  chmodSync(file, mode)
  return file
}

test('what is sealed comes back, and is another text each time', async () => {
  const [first, second] = [await one.seal('text'), await one.seal('text')]
  expect(first).not.toBe(second)
  expect(await one.unseal(first)).toBe('text')
})

describe('refuses to unseal', () => {
  test('what another key sealed', async () => {
    const sealed = await new KeyWrap(Buffer.alloc(32, 2)).seal('text')
    await expect(one.unseal(sealed)).rejects.toMatchObject({ code: 'key_store_locked' })
  })

  test('one character that was changed, in any part', async () => {
    const sealed = await one.seal('text')
    for (const [index, char] of Array.from(sealed).entries()) {
      // The last character of a part may hold bits that mean nothing; the header's name of the key is told apart.
      if (char === '.' || sealed[index + 1] === '.' || index === sealed.length - 1) continue
      const changed = sealed.slice(0, index) + (char === 'A' ? 'B' : 'A') + sealed.slice(index + 1)
      await expect(one.unseal(changed), `at ${index}`).rejects.toMatchObject({
        code: expect.stringMatching(
          index < sealed.indexOf('.') ? /^(store_corrupt|key_store_locked)$/ : /^store_corrupt$/,
        ),
      })
    }
  })
})

test('the ledger gets a key of its own, from which nothing else follows', () => {
  const wrappingKey = Buffer.alloc(32, 1)
  expect(Buffer.from(one.auditKey.key).equals(wrappingKey)).toBe(false)
  expect(one.auditKey.key).toHaveLength(32)
  expect(one.auditKey).toEqual(new KeyWrap(wrappingKey).auditKey)
  expect(new KeyWrap(Buffer.alloc(32, 2)).auditKey.id).not.toBe(one.auditKey.id)
})

test('a key file that others may read is noticed, through a link too', () => {
  const text = Buffer.alloc(32, 1).toString('base64')
  expect(looseModeOf(keyFile(text))).toBeUndefined()
  expect(looseModeOf(keyFile(text, 0o640))).toBe('0640')
  const link = join(directory, 'link')
  symlinkSync(keyFile(text, 0o644), link)
  expect(looseModeOf(link)).toBe('0644')
  expect(looseModeOf(join(directory, 'absent'))).toBeUndefined()
})

test('invariant 6: what is in a file that holds no key is not repeated', () => {
  expect(() => KeyWrap.fromFile(keyFile('not a key at all!'))).toThrow(
    expect.objectContaining({ code: 'key_store_locked', message: expect.not.stringContaining('not a key at') }),
  )
})
