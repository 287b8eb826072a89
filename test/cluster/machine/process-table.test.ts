import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { identify, isAlive, startTimeOfLiving, terminate } from './process-table.ts'

/** `/proc/PID/stat` as the kernel writes it, with the fields that are read given. */
const stat = (state: string, threads: number, name = 'kube-apiserver'): string =>
  `28475 (${name}) ${state} 28469 28469 27150 0 -1 4227084 3017 6485 8 0 6 2 5 4 20 0 ${threads} 0 6134717 0 0 184467\n`

test.for<[string, string, string | undefined]>([
  ['one that runs', stat('S', 12), '6134717'],
  ['one whose name looks like fields', stat('R', 1, 'a) Z 1 (b'), '6134717'],
  ['a corpse', stat('Z', 1), undefined],
  ['a corpse that is being taken away', stat('X', 0), undefined],
  ['one killed, of which a thread still holds its sockets', stat('Z', 2), '6134717'],
])('%s', ([, text, startTime]) => {
  expect(startTimeOfLiving(text)).toBe(startTime)
})

test('a process is known by its number and its start, and is gone once ended', async () => {
  const child = spawn('sleep', ['60'])
  const ended = once(child, 'exit')
  const id = await identify(child.pid ?? 0)
  if (!id) throw new Error('sleep did not start')
  expect(await isAlive(id)).toBe(true)
  expect(await isAlive({ ...id, startTime: '1' })).toBe(false)
  await terminate(id, 0)
  expect(await isAlive(id)).toBe(false)
  expect(await ended).toEqual([null, 'SIGKILL'])
})
