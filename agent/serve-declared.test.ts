import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createLog } from '../core/runtime/log.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { declaredWorkloads } from './serve-declared.ts'
import type { ServedWorkloads } from './workloads/workloads.ts'

const nobody: ServedWorkloads = {
  has: () => false,
  add: async () => {},
  recover: async () => {},
  refreshToken: () => {},
  remove: async () => {},
}

/** `/proc` is no tmpfs on any machine, and `/dev/shm` is one on all. */
test.for([
  { output: '/proc', allowDisk: false, refused: true },
  { output: '/proc', allowDisk: true, refused: false },
  { output: '/dev/shm', allowDisk: false, refused: false },
])('invariant 6: keys in $output, with a disk allowed: $allowDisk', async ({ output, allowDisk, refused }) => {
  const state = await mkdtemp(join(tmpdir(), 'declared-'))
  const config = { directory: state, output, allowDisk, reread: 1_000 }
  const started = declaredWorkloads(config, state, {
    workloads: nobody,
    clock: systemClock,
    log: createLog('test', 'silent'),
  }).then(
    () => undefined,
    ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
  )
  if (refused) expect(await started).toMatch(/^disk_not_allowed: \/proc .*workloads\.allowDisk \(--allow-disk\)$/)
  else expect(await started).toBeUndefined()
  await rm(state, { recursive: true })
})
