import { expect, test } from 'vitest'
import { everyPage } from './every-page.ts'

test('pages are followed to the end, an empty one among them', async () => {
  const asked: unknown[] = []
  const pages: Record<string, { items: number[]; metadata: { _continue?: string } }> = {
    '': { items: [1, 2], metadata: { _continue: 'a' } },
    a: { items: [], metadata: { _continue: 'b' } },
    b: { items: [3], metadata: { _continue: '' } },
  }
  const all = await everyPage<number>(async (page) => {
    asked.push(page)
    return pages[page._continue ?? ''] ?? { items: [] }
  })
  expect(all).toEqual([1, 2, 3])
  expect(asked).toEqual([{ limit: 500 }, { limit: 500, _continue: 'a' }, { limit: 500, _continue: 'b' }])
})

test('a list that never ends is cut off', async () => {
  let pages = 0
  await everyPage(async () => {
    pages += 1
    return { items: [pages], metadata: { _continue: 'more' } }
  })
  expect(pages).toBe(100)
})
