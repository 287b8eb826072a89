import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attachCluster } from '../cluster/attach.ts'
import type { RunResult } from '../cluster/base/run.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { PROCESS_DIR } from '../cluster/layout.ts'
import { AGENT, CSI_DRIVER } from './agent-process.ts'
import { REPOSITORY } from './broker-process.ts'

/*
 * `npm run cluster:install`, `npm run cluster:uninstall` and `npm run demo -- --cluster`, beside what others have
 * installed and beside each other.
 */

const INSTALL = ['test/cluster-suites/install.ts', 'up']
const UNINSTALL = ['test/cluster-suites/install.ts', 'down']
const DEMO = ['test/demo/main.ts', '--cluster', '--json']

let cluster: Cluster
beforeAll(async () => {
  cluster = await attachCluster()
  await removeDriver()
  await cluster.deleteNamespace(AGENT.namespace)
})
afterAll(() => node(UNINSTALL))

function node(args: readonly string[]): Promise<RunResult> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: REPOSITORY }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}

const removeDriver = () => cluster.kubectl(['delete', 'csidriver', CSI_DRIVER, '--ignore-not-found'])
const driver = () => cluster.kubectl(['get', 'csidriver', '--ignore-not-found', CSI_DRIVER, '-o', 'yaml'])

/** Kills `npm run cluster:install` as a crash would; its broker and agents live on. */
async function crash(): Promise<void> {
  const { pid } = JSON.parse(await readFile(join(PROCESS_DIR, 'countersign'), 'utf8')) as { pid: number }
  process.kill(pid, 'SIGKILL')
}

test('what others have installed is refused before anything is changed, and not removed', async () => {
  await cluster.apply(await readFile(join(REPOSITORY, 'deploy/examples/csi-driver.yaml'), 'utf8'))
  const before = await driver()
  for (const args of [INSTALL, DEMO]) {
    const refused = await node(args)
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain(
      `Countersign is installed in this cluster already (CSIDriver ${CSI_DRIVER}): uninst`,
    )
  }
  expect((await node(UNINSTALL)).stderr).toContain(
    'there is nothing of `npm run cluster:install` to uninstall; for CSID',
  )
  expect(await driver()).toBe(before)
  expect(await cluster.kubectl(['get', 'namespaces', '-o', 'name'])).not.toContain(AGENT.namespace)
  await removeDriver()
})

test('installed again after a crash, refused to the demonstration, and uninstalled without a trace', async () => {
  expect((await node(INSTALL)).code).toBe(0)
  await crash()
  expect((await node(INSTALL)).code).toBe(0)
  const demo = await node(DEMO)
  expect(demo.stderr).toContain('uninstall it first (npm run cluster:uninstall, or end that process)')
  expect(await node(UNINSTALL)).toMatchObject({ code: 0, stderr: 'Countersign is uninstalled\n' })
  expect(await driver()).toBe('')
  expect(await cluster.kubectl(['get', 'namespaces', '-o', 'name'])).not.toContain(AGENT.namespace)
  expect((await node(UNINSTALL)).stderr).toBe('there is nothing of `npm run cluster:install` to uninstall\n')
})

test('what a crash left is uninstalled too, and a namespace that was there before stays', async () => {
  await cluster.createNamespace(AGENT.namespace)
  expect((await node(INSTALL)).code).toBe(0)
  await crash()
  expect(await node(UNINSTALL)).toMatchObject({ code: 0, stderr: 'Countersign is uninstalled\n' })
  expect(await driver()).toBe('')
  expect(await cluster.kubectl(['get', 'pods', '-n', AGENT.namespace, '-o', 'name'])).toBe('')
  await cluster.deleteNamespace(AGENT.namespace)
})
