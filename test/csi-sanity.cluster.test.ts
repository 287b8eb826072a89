import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CsiDriver, startCsiDriver } from '../agent/csi/csi-driver.ts'
import { createLog } from '../core/runtime/log.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { attachCluster } from './cluster/attach.ts'
import { tryRun } from './cluster/base/run.ts'
import { someDelivered } from './fakes/delivered.ts'
import { FakeWorkloads } from './fakes/fake-workloads.ts'

/** Why specs of csi-sanity do not apply: the driver makes inline volumes on its node, and there is nothing else to make. */
const NOT_OURS: readonly [pattern: RegExp, why: string][] = [
  [/\[Controller Server\]/, 'the driver has no Controller service: volumes live and end with their pods'],
  [/\[GroupController/, 'the driver has no GroupController service'],
  [/NodeStageVolume|NodeUnstageVolume/, 'volumes are not staged: nothing is shared between pods'],
  [/NodeGetVolumeStats/, 'not advertised: the size of a volume is bounded by the driver, not by its user'],
  [/NodeExpandVolume/, 'not advertised: the driver grows volumes by itself'],
  [/NodeGetVolumeHealth|NodeGetStorageHealth/, 'not advertised: health is in metrics'],
  [/single node multi writer/, 'not advertised: volumes are read-only'],
  [/Node Service should (work|be idempotent)/, 'needs CreateVolume; kubelet itself does this in csi-kubelet'],
  [/should remove target path/, 'needs CreateVolume; kubelet itself does this in csi-kubelet'],
]
/** csi-sanity skips the others by itself. */
const SKIP = String.raw`\[Controller Server\]|should remove target path`

interface Spec {
  readonly name: string
  readonly status: string
}

let specs: Spec[]
let folder: string
let driver: CsiDriver

beforeAll(async () => {
  const cluster = await attachCluster()
  folder = await mkdtemp(join(tmpdir(), 'sanity-'))
  await mkdir(join(folder, 'registry'))
  const delivered = await someDelivered()
  driver = await startCsiDriver(
    {
      pluginsRegistry: join(folder, 'registry'),
      kubeletDirectory: folder,
      stateDirectory: join(folder, 'state'),
      audience: 'countersign.dev/prod.example',
      nodeName: 'node-a',
      version: '0.0.0-test',
    },
    {
      workloads: new FakeWorkloads(() => Promise.resolve(delivered)),
      clock: systemClock,
      log: createLog('csi', 'silent'),
    },
  )
  const { code, stdout } = await tryRun(cluster.tool('csi-sanity'), [
    `--csi.endpoint=unix://${join(folder, 'registry', 'csi.countersign.dev-reg.sock')}`,
    `--csi.mountdir=${join(folder, 'mount')}`,
    `--csi.stagingdir=${join(folder, 'staging')}`,
    `--csi.junitfile=${join(folder, 'junit.xml')}`,
    `--ginkgo.skip=${SKIP}`,
    '--ginkgo.no-color',
  ])
  if (code !== 0) throw new Error(stdout)
  const report = await readFile(join(folder, 'junit.xml'), 'utf8')
  specs = Array.from(
    report.matchAll(/<testcase name="([^"]*)"[^>]* status="([^"]*)"/g),
    ([, name = '', status = '']) => ({
      name,
      status,
    }),
  ).filter(({ name }) => name.startsWith('[It]'))
})
afterAll(async () => {
  await driver.close()
  await rm(folder, { recursive: true })
})

const of = (status: string) => specs.filter((spec) => spec.status === status).map(({ name }) => name)

describe('csi-sanity', () => {
  test('runs what a driver of inline volumes has, and nothing fails', () => {
    const passed = of('passed')
    const skipped = specs.length - passed.length
    process.stdout.write(`csi-sanity: ${passed.length} run, ${skipped} skipped\n`)
    expect(of('failed')).toEqual([])
    expect(passed).toEqual(
      expect.arrayContaining(
        ['no volume id', 'no target path', 'no volume capability'].map(
          (what) => `[It] Node Service NodePublishVolume should fail when ${what} is provided`,
        ),
      ),
    )
    expect(passed).toHaveLength(10)
  })

  test('skips nothing without a reason', () => {
    const unexplained = [...of('skipped'), ...of('pending')].filter(
      (name) => !NOT_OURS.some(([pattern]) => pattern.test(name)),
    )
    expect(unexplained).toEqual([])
  })

  test.for(NOT_OURS)('skips %s: %s', ([pattern]) => {
    const found = specs.filter(({ name }) => pattern.test(name))
    expect(found.length).toBeGreaterThan(0)
    expect(found.filter(({ status }) => status === 'passed')).toEqual([])
  })
})
