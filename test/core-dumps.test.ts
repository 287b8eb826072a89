import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'

/** Says, as the program ends, what the kernel would write of it into a core dump. */
const TELL = `import { readFileSync } from 'node:fs'
process.on('exit', () => process.stdout.write('filter ' + readFileSync('/proc/self/coredump_filter', 'utf8')))`

test.runIf(process.platform === 'linux').for(['agent', 'broker', 'cli'])(
  'invariant 6: a core dump of %s holds nothing of its memory',
  (program) => {
    const main = new URL(`../${program}/main.ts`, import.meta.url).pathname
    const preload = `data:text/javascript,${encodeURIComponent(TELL)}`
    const told = execFileSync(process.execPath, ['--import', preload, main, '--help'], { encoding: 'utf8' })
    expect(told).toMatch(/^filter 00000000$/m)
  },
)
