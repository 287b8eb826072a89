import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attachCluster } from './cluster/attach.ts'
import { logToStderr as log } from './cluster/base/log.ts'
import type { Cluster } from './cluster/cluster.ts'
import { buildCountersignImage, COUNTERSIGN_IMAGE } from './cluster/images/countersign-image.ts'
import { buildTools } from './cluster/tools/build.ts'
import { HELM } from './cluster/tools/catalog.ts'
import { leftBehind } from './install/left-behind.ts'
import { ShellSession } from './recipes/shell-session.ts'
import { missingFrom, type Step, stepsOf } from './recipes/transcript.ts'

/** The image as the documents name it, which their reader has built from the same Dockerfile. */
const IMAGE = 'localhost/countersign:0.1.0'
/** What stands for a newer version. */
const NEW_TAG = 'next'
const VOLUME = 'countersign-ledger'
const COMMAND_MS = 200_000
const PATIENCE = { timeout: 240_000, interval: 1_000 }

/** Below these headings commands fail, since something is wrong; what they say instead is looked at. */
const BROKEN = 'When there is none'
const LAST = 'Remove it'

let cluster: Cluster
let shell: ShellSession
let hasFailed = false
const folder = mkdtempSync(join(tmpdir(), 'getting-started-'))

/** What the document takes for granted: a cluster with the image and a default StorageClass; `kubectl` and `helm`. */
beforeAll(async () => {
  cluster = await attachCluster()
  const { helm = '' } = await buildTools(log, undefined, [HELM])
  await cluster.importImage(await buildCountersignImage(log))
  await cluster.tagImage(COUNTERSIGN_IMAGE, IMAGE)
  await cluster.tagImage(COUNTERSIGN_IMAGE, IMAGE.replace(/[^:]+$/, NEW_TAG))
  await cluster.createVolume(VOLUME)
  mkdirSync(join(folder, 'bin'))
  symlinkSync(helm, join(folder, 'bin', 'helm'))
  symlinkSync(cluster.tool('kubectl'), join(folder, 'bin', 'kubectl'))
  shell = new ShellSession({
    ...process.env,
    PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
    HOME: folder,
    KUBECONFIG: cluster.adminKubeconfig,
  })
})

afterAll(async () => {
  if (hasFailed) await shell.run('helm uninstall countersign --namespace countersign-system --no-hooks', COMMAND_MS)
  if (hasFailed) await shell.run('kubectl delete crd --selector app.kubernetes.io/name=countersign', COMMAND_MS)
  shell.end()
  await cluster.deleteNamespace('shop')
  for (const namespace of ['countersign-system', 'countersign-agent']) await cluster.deleteNamespace(namespace)
  await cluster.deleteVolume(VOLUME)
  rmSync(folder, { recursive: true, force: true })
})

describe('docs/getting-started.md, to the letter', { timeout: 400_000 }, () => {
  for (const [index, step] of stepsOf('docs/getting-started.md', 'sh').entries()) {
    if (step.heading === LAST) continue
    test(`${step.heading} (${index + 1})`, async () => {
      const printed = await follow(step)
      if (step.heading === BROKEN && step.commands.some((command) => command.includes('explain'))) {
        expect(printed).toContain('template_not_matched')
      }
    })
  }
})

describe('docs/operations.md, in that cluster', { timeout: 400_000 }, () => {
  test.for(['Back-up', 'Restore', 'Upgrade', 'Roll back'])('%s', async (heading) => {
    await follow(operation(heading))
    await answersIn('3s')
  })

  test('The wrapping key is lost', async () => {
    await typed('kubectl -n countersign-system delete secret countersign-wrapping-key')
    await typed('kubectl -n countersign-system rollout restart deployment/countersign-broker')
    await expect
      .poll(() => typed('kubectl -n countersign-system logs deployment/countersign-broker --tail=1'), PATIENCE)
      .toContain('key_store_locked')
    await follow(operation('The wrapping key is lost'))
    await expect.poll(() => typed('countersign check'), PATIENCE).toMatch(/^✔ .* checks passed$/m)
  })

  test('The ledger is lost', async () => {
    const before = await authorities()
    expect(before).toHaveLength(1)
    await follow(operation('The ledger is lost'))
    const start = performance.now()
    await expect.poll(authorities, PATIENCE).not.toEqual(before)
    const first = performance.now()
    await expect
      .poll(async () => (await authorities()).filter((authority) => before.includes(authority)), PATIENCE)
      .toEqual([])
    const seconds = (from: number) => Math.round((performance.now() - from) / 1000)
    log(`the new authority: everywhere after ${seconds(start)} s, ${seconds(first)} s after the first pod`)
    await answersIn('3s')
    await expect.poll(() => typed('countersign check'), PATIENCE).toMatch(/^✔ .* checks passed$/m)
  })
})

test('docs/getting-started.md removes all that it has made', { timeout: 400_000 }, async () => {
  for (const step of stepsOf('docs/getting-started.md', 'sh')) if (step.heading === LAST) await follow(step)
  expect(await leftBehind(cluster)).toEqual([])
})

test('docs/operations.md installs without Helm', { timeout: 400_000 }, async () => {
  await cluster.deleteVolume(VOLUME)
  await cluster.createVolume(VOLUME)
  const [step] = stepsOf('docs/operations.md', 'sh manifests')
  const commands = step?.commands.map((command) =>
    command.replace('your.domain', 'prod.example').replace('registry.example/', 'localhost/'),
  )
  if (!step || !commands) throw new Error('docs/operations.md does not say how')
  await follow({ ...step, commands })
  for (const command of ['delete -f deploy/manifests', `delete clustertrustbundle countersign.dev:prod.example:bundle`])
    expect((await shell.run(`kubectl ${command}`, COMMAND_MS)).exitCode).toBe(0)
  expect(await leftBehind(cluster)).toEqual([])
})

/** Runs the commands, and holds what they print against the document. @returns all that they have printed. */
async function follow({ heading, commands, expected }: Step): Promise<string> {
  // What follows builds on it, and would only take long.
  if (hasFailed) throw new Error('an earlier step has failed')
  hasFailed = true
  let all = ''
  for (const command of commands) {
    const { exitCode, printed } = await shell.run(command, COMMAND_MS)
    log(`$ ${command}\n${printed}`)
    const mayFail = heading === BROKEN && command.startsWith('countersign')
    if (!mayFail) expect(exitCode, `${command}\n${printed}`).toBe(0)
    all += printed
  }
  expect(missingFrom(all, expected), all).toEqual([])
  hasFailed = false
  return all
}

/** The commands for a cluster below a heading of docs/operations.md. */
function operation(heading: string): Step {
  const step = stepsOf('docs/operations.md', 'sh cluster').find((candidate) => candidate.heading === heading)
  if (!step) throw new Error(`docs/operations.md has no commands for a cluster below ${heading}`)
  return { ...step, commands: step.commands.map((command) => command.replace('image.tag=NEW', `image.tag=${NEW_TAG}`)) }
}

/** What a command prints, whatever its exit code. */
async function typed(command: string): Promise<string> {
  return (await shell.run(command, COMMAND_MS)).printed
}

/** New calls of one service by the other are answered, after whatever was done. */
async function answersIn(lately: string): Promise<void> {
  await expect
    .poll(() => typed(`kubectl -n shop logs deployment/checkout --since=${lately} --tail=1`), PATIENCE)
    .toContain('payments answers 200')
}

/** Which authorities have signed what the two services hold, each once. */
async function authorities(): Promise<readonly string[]> {
  const signers = new Set<string>()
  for (const name of ['payments', 'checkout']) {
    const command = `kubectl -n shop exec deployment/${name} -- cat /identity/tls.crt | openssl x509 -noout -ext authorityKeyIdentifier`
    signers.add(/[0-9A-F:]{59}/.exec(await typed(command))?.[0] ?? '')
  }
  return [...signers]
}
