import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { MEASURED_CORE } from './cores.ts'

/** Microseconds of one turn of the floor, on the core that is measured. */
export interface Floor {
  readonly wallMicros: number
  readonly cpuMicros: number
}

const PROGRAM = join(import.meta.dirname, 'floor-program.ts')

export async function measureFloor(milliseconds = 1000): Promise<Floor> {
  const args = ['-c', String(MEASURED_CORE), process.execPath, PROGRAM, String(milliseconds)]
  const { stdout } = await promisify(execFile)('taskset', args)
  return JSON.parse(stdout) as Floor
}

/** `work` between two measurements of the floor, with their mean. */
export async function aboveFloor<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly floor: Floor }> {
  const before = await measureFloor()
  const result = await work()
  const after = await measureFloor()
  return {
    result,
    floor: {
      wallMicros: (before.wallMicros + after.wallMicros) / 2,
      cpuMicros: (before.cpuMicros + after.cpuMicros) / 2,
    },
  }
}
