import { beforeEach, describe, expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { AdminAuthorization, type ReviewAccess } from './admin-authorization.ts'
import type { AdminUser } from './admin-user.ts'

const user: AdminUser = { name: 'jane', uid: '1', groups: ['ops'], extra: { scope: ['a'] } }
const rule = { verb: 'list', resource: 'nodeagents', namespace: '' }
const never = new AbortController().signal

let clock: FakeClock
let asked: Parameters<ReviewAccess>[]
let answer: ReviewAccess
let authorization: AdminAuthorization

beforeEach(() => {
  clock = new FakeClock()
  asked = []
  answer = async () => ({ isAllowed: true, reason: '' })
  const review: ReviewAccess = (...args) => {
    asked.push(args)
    return answer(...args)
  }
  authorization = new AdminAuthorization({ review, clock })
})

const check = (who = user, what = rule, signal = never) => authorization.check(who, what, signal)

test('what is allowed is remembered for 5 s, and not longer', async () => {
  await check()
  await clock.advance(4_999)
  await check()
  expect(asked).toHaveLength(1)
  await clock.advance(1)
  await check()
  expect(asked).toHaveLength(2)
})

test('what is not allowed is asked anew each time', async () => {
  answer = async () => ({ isAllowed: false, reason: 'no rule' })
  for (let call = 0; call < 2; call += 1) {
    await expect(check()).rejects.toMatchObject({ code: 'admin_permission_denied', cause: { message: 'no rule' } })
  }
  expect(asked).toHaveLength(2)
})

describe('is remembered for nobody else', () => {
  test.for<{ name: string; who?: Partial<AdminUser>; what?: Partial<typeof rule> }>([
    { name: 'another name', who: { name: 'joe' } },
    { name: 'another UID', who: { uid: undefined } },
    { name: 'another group', who: { groups: [] } },
    { name: 'another extra', who: { extra: {} } },
    { name: 'another verb', what: { verb: 'get' } },
    { name: 'another resource', what: { resource: 'auditrecords' } },
    { name: 'another namespace', what: { namespace: 'shop' } },
  ])('$name', async ({ who, what }) => {
    await check()
    answer = async () => ({ isAllowed: false, reason: '' })
    await expect(check({ ...user, ...who }, { ...rule, ...what })).rejects.toMatchObject({
      code: 'admin_permission_denied',
    })
  })
})

test('is asked once for all who ask at the same time, though the first of them goes', async () => {
  const held = Promise.withResolvers<void>()
  answer = async () => {
    await held.promise
    return { isAllowed: true, reason: '' }
  }
  const leaving = new AbortController()
  const first = check(user, rule, leaving.signal)
  const second = check()
  leaving.abort(new IdentityError('deadline_exceeded', 'gone'))
  await expect(first).rejects.toMatchObject({ code: 'deadline_exceeded' })
  held.resolve()
  await second
  expect(asked).toHaveLength(1)
})

test('few at a time are asked, some wait, and more are refused', async () => {
  const held = Promise.withResolvers<void>()
  answer = async () => {
    await held.promise
    return { isAllowed: true, reason: '' }
  }
  const checks = Array.from({ length: 80 }, (_, index) => check({ ...user, name: `user-${index}` }))
  const settled = Promise.allSettled(checks)
  expect(asked).toHaveLength(4)
  held.resolve()
  const refused = (await settled).filter(({ status }) => status === 'rejected')
  expect(refused).toHaveLength(80 - 4 - 64)
  expect(refused[0]).toMatchObject({ reason: { code: 'overloaded' } })
})

test('an answer that does not come is waited for 10 s', async () => {
  answer = () => new Promise(() => {})
  const late = check().catch((error: IdentityError) => error.code)
  await clock.advance(10_000)
  expect(await late).toBe('kubernetes_unavailable')
})
