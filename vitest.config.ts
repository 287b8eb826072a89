import { existsSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

/** `fast` needs neither root, network nor cluster; `cluster` runs against the real Kubernetes of `test/cluster`. */
export default defineConfig({
  test: {
    reporters: [process.env['CI'] ? 'dot' : 'default', './test/summary-reporter.ts'],
    projects: [
      {
        test: {
          name: 'fast',
          include: ['{core,broker,agent,proto,test,sdk,cli}/**/*.test.ts'],
          exclude: ['**/*.cluster.test.ts', '**/node_modules/**'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/**/*.cluster.test.ts'],
          globalSetup: existsSync('test/cluster/global-setup.ts') ? ['test/cluster/global-setup.ts'] : [],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
