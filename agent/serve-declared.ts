import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../core/runtime/clock.ts'
import { codeOf } from '../core/runtime/errors.ts'
import type { Log } from '../core/runtime/log.ts'
import type { AgentConfig } from './config.ts'
import { DeclaredWorkloads } from './directory/declared-workloads.ts'
import { DeliveredNames } from './directory/delivered-names.ts'
import { DirectoryPlace, requireMemory } from './volume/directory-place.ts'
import { VolumeDelivery } from './volume/volume-delivery.ts'
import type { ServedWorkloads } from './workloads/workloads.ts'

interface Dependencies {
  readonly workloads: ServedWorkloads
  readonly clock: Clock
  readonly log: Log
}

/**
 * The workloads of a folder, each with its files in a folder of its own.
 *
 * @throws {@link IdentityError} `disk_not_allowed`
 */
export async function declaredWorkloads(
  config: NonNullable<AgentConfig['workloads']>,
  stateDirectory: string,
  { workloads, clock, log }: Dependencies,
): Promise<DeclaredWorkloads> {
  const { directory, output: root, allowDisk, reread: rereadMs } = config
  await mkdir(root, { recursive: true, mode: 0o755 })
  if (!allowDisk) await requireMemory(root)
  return new DeclaredWorkloads(
    { directory, rereadMs },
    {
      target: workloads,
      delivered: new DeliveredNames(join(stateDirectory, 'declared.json')),
      deliverTo: (name, readers) =>
        new VolumeDelivery({
          place: new DirectoryPlace({ root, name, allowDisk }),
          readers,
          clock,
          damaged: (error) => log.warn({ workload: name, code: codeOf(error), err: error }, 'files are damaged'),
        }),
      clock,
      log,
    },
  )
}
