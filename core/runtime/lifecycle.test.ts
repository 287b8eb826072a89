import { expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { Lifecycle } from './lifecycle.ts'

test('parts stop in reverse, once, after the signal', async () => {
  const lifecycle = new Lifecycle(new FakeClock())
  const seen: string[] = []
  lifecycle.signal.addEventListener('abort', () => seen.push('signal'))
  lifecycle.add('first', () => void seen.push('first'))
  lifecycle.add('second', async () => void seen.push('second'))
  await Promise.all([lifecycle.stop(1000), lifecycle.stop(1000)])
  expect(seen).toEqual(['signal', 'second', 'first'])
  expect(lifecycle.signal.reason).toMatchObject({ code: 'shutting_down' })
})

test('a part that fails or hangs does not keep the others from stopping', async () => {
  const clock = new FakeClock()
  const lifecycle = new Lifecycle(clock)
  const seen: string[] = []
  lifecycle.add('last', () => void seen.push('last'))
  lifecycle.add('hangs', () => new Promise(() => {}))
  lifecycle.add('fails', () => {
    throw new Error('no')
  })
  const stopped = lifecycle.stop(1000)
  await clock.advance(1000)
  await clock.advance(1)
  expect(await stopped).toEqual(['fails', 'hangs'])
  expect(seen).toEqual(['last'])
})
