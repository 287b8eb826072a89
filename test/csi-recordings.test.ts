import { globSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fromJson, type JsonObject } from '@bufbuild/protobuf'
import { Client, credentials } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { startCsiDriver } from '../agent/csi/csi-driver.ts'
import { codeOf } from '../core/runtime/errors.ts'
import { createLog } from '../core/runtime/log.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { serviceClient, type UnaryOptions } from '../proto/grpc-client.ts'
import { Identity, Node } from '../proto/gen/third_party/csi/v1/csi_pb.ts'
import { Registration } from '../proto/gen/third_party/pluginregistration/api_pb.ts'
import type { RecordedCall, Recording } from './csi-driver/recording.ts'
import { someDelivered } from './fakes/delivered.ts'
import { FakeMounter } from './fakes/fake-mounter.ts'
import { FakeWorkloads } from './fakes/fake-workloads.ts'

/*
 * What kubelet really sent, and how it was answered (csi-kubelet.cluster.test.ts records it): the driver still gives
 * the same answers.
 */

const files = globSync('recordings/*.json', { cwd: import.meta.dirname })
const recordings = await Promise.all(
  files.map(async (file) => JSON.parse(await readFile(join(import.meta.dirname, file), 'utf8')) as Recording),
)

describe.for(recordings)('$caller', ({ calls, kubeletDirectory, audience }) => {
  test('all that a driver must expect is there', () => {
    const count = (method: string) => calls.filter((call) => call.method === method).length
    expect(count('pluginregistration.Registration/GetInfo')).toBeGreaterThan(0)
    expect(count('csi.v1.Node/NodePublishVolume')).toBeGreaterThan(4)
    expect(count('csi.v1.Node/NodeUnpublishVolume')).toBeGreaterThan(1)
    const outcomes = new Set(calls.map(({ outcome }) => outcome))
    expect(outcomes).toEqual(new Set(['ok', 'volume_not_read_only', 'volume_attribute_unknown']))
  })

  test('invariant 6: no token in it has a signature', () => {
    const payloads = JSON.stringify(calls).match(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g) ?? []
    expect(payloads.length).toBeGreaterThan(0)
    expect(payloads.filter((token) => !token.endsWith('.InJlbW92ZWQi'))).toEqual([])
  })

  test('every call is answered as it was', async () => {
    const root = await mkdtemp(join(tmpdir(), 'csi-replay-'))
    const pluginsRegistry = join(root, 'plugins_registry')
    await mkdir(pluginsRegistry)
    const delivered = await someDelivered()
    const mounter = new FakeMounter()
    const workloads = new FakeWorkloads(() => Promise.resolve(delivered))
    const options = { pluginsRegistry, kubeletDirectory: root, stateDirectory: join(root, 'state'), audience }
    const log = createLog('agent', 'silent')
    const driver = await startCsiDriver(
      { ...options, nodeName: 'node-a', version: '0' },
      { workloads, clock: systemClock, log, mounter },
    )
    const client = new Client(
      `unix:${join(pluginsRegistry, 'csi.countersign.dev-reg.sock')}`,
      credentials.createInsecure(),
    )
    const outcomes: string[] = []
    for (const { method, request } of calls) {
      const text = JSON.stringify(request)
        .replaceAll(`${kubeletDirectory}/pods/`, `${root}/pods/`)
        // To any other group than the own only root may give a file.
        .replaceAll(/"volumeMountGroup":"\d+"/g, `"volumeMountGroup":"${process.getegid?.() ?? 0}"`)
      outcomes.push(await replay(client, method, JSON.parse(text) as JsonObject))
    }
    client.close()
    await driver.close()
    await rm(root, { recursive: true })
    expect(outcomes).toEqual(calls.map(({ outcome }: RecordedCall) => outcome))
    expect(mounter.mounts).toEqual([])
  })
})

async function replay(client: Client, path: string, json: JsonObject): Promise<string> {
  const [typeName, name] = path.split('/')
  const service = [Registration, Identity, Node].find((candidate) => candidate.typeName === typeName)
  const method = service?.methods.find((candidate) => candidate.name === name)
  if (!service || !method) throw new Error(`there is no method ${path}`)
  const { targetPath, volumeId } = json
  // As kubelet does before it asks.
  if (name === 'NodePublishVolume' && typeof targetPath === 'string') {
    await mkdir(dirname(targetPath), { recursive: true })
    const data = { driverName: 'csi.countersign.dev', volumeHandle: volumeId }
    await writeFile(join(dirname(targetPath), 'vol_data.json'), JSON.stringify(data))
  }
  const caller = serviceClient(service, client, () => systemClock.now().getTime()) as unknown as {
    [method: string]: (request: unknown, options: UnaryOptions) => Promise<unknown>
  }
  return (
    caller[method.localName]?.(fromJson(method.input, json), { timeoutMs: 10_000 }).then(() => 'ok', codeOf) ?? 'none'
  )
}
