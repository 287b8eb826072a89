import { beforeEach, expect, test, vi } from 'vitest'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { x509Bundle } from '../../core/spiffe/bundle.ts'
import type { Bundles } from '../workloads/workload.ts'
import { Enforcement } from './enforcement.ts'

const trustDomain = TrustDomain.parse('test.example')
const numbered = (sequence: bigint): Bundles => ({ own: x509Bundle(trustDomain, [], { sequence }), federated: [] })

let enforce: (bundles: Bundles, signal: AbortSignal) => Promise<void>
let acknowledged: bigint[]
let enforcement: Enforcement
let failures: number

beforeEach(() => {
  acknowledged = []
  failures = 0
  enforce = async () => {}
  enforcement = new Enforcement({
    enforce: (bundles, signal) => enforce(bundles, signal),
    enforced: () => {},
    failed: () => void (failures += 1),
    pause: async () => {},
    signal: new AbortController().signal,
  })
})

const put = (sequence: bigint) =>
  enforcement.put({ bundles: numbered(sequence), acknowledge: () => acknowledged.push(sequence) })

test('what was overtaken before its turn is skipped: each revision is the complete state', async () => {
  const gate = Promise.withResolvers<void>()
  enforce = () => gate.promise
  for (const sequence of [1n, 2n, 3n]) put(sequence)
  gate.resolve()
  await vi.waitFor(() => expect(acknowledged).toEqual([1n, 3n]))
})

test('what fails is tried again, and acknowledged only when it is done', async () => {
  enforce = async () => {
    if (failures < 2) throw new Error('no room')
  }
  put(1n)
  await vi.waitFor(() => expect(acknowledged).toEqual([1n]))
  expect(failures).toBe(2)
})

test('what fails and is overtaken is never acknowledged', async () => {
  enforce = async ({ own }) => {
    if (own.sequence > 1n) return
    if (failures === 1) put(2n)
    throw new Error('no room')
  }
  put(1n)
  await vi.waitFor(() => expect(acknowledged).toEqual([2n]))
})

test('what cannot be completed is ended by what comes after it, and never acknowledged', async () => {
  enforce = ({ own }, signal) =>
    own.sequence > 1n
      ? Promise.resolve()
      : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  put(1n)
  put(2n)
  await vi.waitFor(() => expect(acknowledged).toEqual([2n]))
  expect(failures, 'to be overtaken is no failure').toBe(0)
})
