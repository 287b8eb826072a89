import { defineConfig } from 'vitest/config'

const onCluster = {
  globalSetup: ['test/cluster/global-setup.ts'],
  fileParallelism: false,
  testTimeout: 180_000,
  hookTimeout: 600_000,
}

/**
 * `fast` needs neither root, network nor cluster. The others run against the real Kubernetes of `test/cluster`: `cluster`
 * is how identities get into pods, and is over in four minutes; `platform` what those see who install and run it (objects,
 * rotations, chart, admin API, CLI).
 */
export default defineConfig({
  test: {
    reporters: [process.env['CI'] ? 'dot' : 'default', './test/summary-reporter.ts'],
    projects: [
      {
        test: {
          name: 'fast',
          globalSetup: ['test/run-folder.ts'],
          include: ['{core,broker,agent,proto,test,sdk,cli}/**/*.test.ts'],
          exclude: ['**/*.{cluster,platform}.test.ts', '**/node_modules/**'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
          maxWorkers: 2,
          // Modules keep no state, so files may share a process: a quarter of the time went into loading them anew.
          isolate: false,
        },
      },
      {
        test: { name: 'cluster', include: ['test/**/*.cluster.test.ts'], ...onCluster },
      },
      {
        test: { name: 'platform', include: ['test/**/*.platform.test.ts'], ...onCluster },
      },
    ],
  },
})
