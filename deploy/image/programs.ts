/** A program of the image: what it is started by, and the options and the environment that its node is started with. */
export interface Program {
  readonly source: string
  readonly nodeOptions: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

/** By the name of the command. `docs/performance.md` has what each option of node is worth. */
export const PROGRAMS: Readonly<Record<string, Program>> = {
  broker: { source: 'broker/main.ts', nodeOptions: ['--max-semi-space-size=16'] },
  agent: {
    source: 'agent/main.ts',
    nodeOptions: ['--max-semi-space-size=1', '--lite-mode', '--no-node-snapshot', '--single-threaded-gc'],
    // Of glibc: what was freed goes back to the kernel, instead of being kept for the next burst.
    environment: { MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '65536' },
  },
  countersign: { source: 'cli/main.ts', nodeOptions: [] },
}

/** What the programs start by its file name, which must therefore stay what it is. */
export const WORKERS: Readonly<Record<string, string>> = {
  'sqlite-worker': 'broker/ledger/sqlite-worker.ts',
  'sqlite-query-worker': 'broker/ledger/sqlite-query-worker.ts',
}
