import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** What is measured runs alone on the first core; whoever loads it runs on the second, if there is one. */
export const MEASURED_CORE = 0
export const OTHER_CORE = Math.min(1, availableParallelism() - 1)

/** Keeps a process, all its threads and those that they start on one core. */
export function pin(pid: number, core: number): void {
  execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' })
}
