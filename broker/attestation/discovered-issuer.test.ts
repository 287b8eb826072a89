import { expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { discoveredIssuer } from './discovered-issuer.ts'

const signal = new AbortController().signal

test('asks once for all who wait, and keeps the answer', async () => {
  let asked = 0
  const issuer = discoveredIssuer(() => Promise.resolve(`issuer ${(asked += 1)}`), new FakeClock())
  expect(await Promise.all([issuer(signal), issuer(signal)])).toEqual(['issuer 1', 'issuer 1'])
  expect(issuer(signal)).toBe('issuer 1')
})

test('after a failure it asks again, but not at once', async () => {
  const clock = new FakeClock()
  let asked = 0
  const issuer = discoveredIssuer(() => {
    asked += 1
    return asked === 1 ? Promise.reject(new Error('away')) : Promise.resolve('issuer')
  }, clock)
  for (let round = 0; round < 100; round += 1) await expect(issuer(signal)).rejects.toThrow('away')
  expect(asked).toBe(1)
  await clock.advance(1000)
  expect(await issuer(signal)).toBe('issuer')
})

test('gives up in time', async () => {
  const clock = new FakeClock()
  const issuer = discoveredIssuer(() => new Promise(() => {}), clock)
  await Promise.all([
    expect(issuer(signal)).rejects.toMatchObject({ code: 'kubernetes_unavailable' }),
    clock.advance(5000),
  ])
})
