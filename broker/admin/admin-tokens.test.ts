import { beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { userOfToken } from './admin-tokens.ts'

const { signal } = new AbortController()
const user = (name: string) => ({ name, uid: undefined, groups: [], extra: {} })
let clock: FakeClock
let reviews: number
let ask: (token: string) => Promise<unknown>

beforeEach(() => {
  clock = new FakeClock()
  reviews = 0
  const of = userOfToken({
    clock,
    precheck: { checkAs: async (facts, token) => facts({ sub: token.split('.')[0] }) },
    reviewer: {
      review: async (token) => {
        reviews += 1
        return user(token.endsWith('stolen') ? 'another' : (token.split('.')[0] ?? ''))
      },
    },
  })
  ask = (token) => of(token, signal)
})

test('who the API server says it is, if the token says the same', async () => {
  expect(await ask('jane.1')).toEqual(user('jane'))
  await expect(ask('jane.stolen')).rejects.toMatchObject({ code: 'token_rejected' })
})

test('however many tokens one makes, the API server is asked about so many of them; others are not kept waiting', async () => {
  for (let count = 0; count < 100; count += 1) await ask(`jane.${count}`)
  await expect(ask('jane.more')).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 50 })
  expect(reviews).toBe(100)
  expect(await ask('joe.1')).toEqual(user('joe'))
  await clock.advance(50)
  expect(await ask('jane.later')).toEqual(user('jane'))
})
