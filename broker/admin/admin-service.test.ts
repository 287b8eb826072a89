import { create } from '@bufbuild/protobuf'
import { Metadata } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { GetBundleRequestSchema } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { Call } from '../../proto/grpc-server.ts'
import { type AdminAnswers, adminService } from './admin-service.ts'

/** A service whose answers come when the test says so; the peer of a call is its user. */
function service() {
  /** Whose calls are being answered. */
  const begun: string[] = []
  const ends: (() => void)[] = []
  const answers = {
    getBundle: async (_: unknown, { peer }: Call) => {
      begun.push(peer)
      await new Promise<void>((resolve) => ends.push(resolve))
      return {}
    },
  } as unknown as AdminAnswers
  const admit = async (_: unknown, { peer }: Pick<Call, 'peer'>) => ({
    ...{ name: peer, uid: undefined, groups: [], extra: {} },
  })
  const { getBundle } = adminService({ admit }, answers)
  const call = (peer: string, signal = new AbortController().signal) =>
    getBundle(create(GetBundleRequestSchema), { peer, metadata: new Metadata(), signal })
  return { begun, call, endOne: () => ends.shift()?.() }
}
/** Whatever can go on has done so. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('of one user two calls are answered at a time, in the order asked, and another user does not wait for them', async () => {
  const { begun, call, endOne } = service()
  const calls = ['jane', 'jane', 'jane', 'joe'].map((user) => call(user))
  await settled()
  expect(begun).toEqual(['jane', 'jane', 'joe'])
  endOne()
  await settled()
  expect(begun).toEqual(['jane', 'jane', 'joe', 'jane'])
  for (let end = 0; end < 3; end += 1) endOne()
  await Promise.all(calls)
})

test('who no longer waits for an answer has no turn, and calls without end are refused', async () => {
  const { begun, call, endOne } = service()
  const gone = new AbortController()
  const calls = [call('jane'), call('jane')]
  const left = call('jane', gone.signal)
  await settled()
  gone.abort(new Error('cancelled'))
  await expect(left).rejects.toThrow('cancelled')
  const waiting = Array.from({ length: 100 }, () => call('jane', gone.signal).catch(() => {}))
  await Promise.all(waiting)
  calls.push(...Array.from({ length: 100 }, () => call('jane')))
  await settled()
  await expect(call('jane')).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 1000 })
  expect(begun).toEqual(['jane', 'jane'])
  const all = Promise.all(calls)
  for (let end = 0; end < 102; end += 1) {
    endOne()
    await settled()
  }
  await all
})
