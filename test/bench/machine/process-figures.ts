import { readFileSync } from 'node:fs'

/** Linux counts a process's time in hundredths of a second (USER_HZ), whatever the kernel was built with. */
const TICK_MS = 10

/** CPU time of all threads of a process so far, user and system, in milliseconds. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The second field is a name in parentheses that may hold anything; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

/** Memory of a process in KiB. */
export interface Memory {
  readonly rss: number
  /** What is not shared file mapping. */
  readonly anon: number
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1])
  return { rss: field('VmRSS'), anon: field('RssAnon') }
}

export const mib = (kib: number) => kib / 1024
