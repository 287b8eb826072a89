import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CsiNode } from '../../test/fakes/csi-node.ts'
import { VOLUME_ID } from '../../test/fakes/publish-requests.ts'

let node: CsiNode
beforeEach(async () => {
  node = await CsiNode.create()
})
afterEach(() => node.remove())

const RECOVERED = { recovered: 1, removed: 0, waiting: 0 }
const WAITING = { recovered: 0, removed: 0, waiting: 1 }
const readKey = () => readFile(join(node.target, 'tls.key'), 'utf8')

describe("kubelet's word on a volume that it has not forgotten", () => {
  const words: [string, () => Promise<void>][] = [
    ['cut short by a full disk', () => node.writeVolumeData('')],
    ['half written', () => node.writeVolumeData('{"driverName":"csi.count')],
    ['not an object', () => node.writeVolumeData('null')],
    ['without a handle', () => node.writeVolumeData('{"driverName":"csi.countersign.dev"}')],
    ['not to be read', () => rm(node.volumeData).then(() => mkdir(node.volumeData))],
  ]

  test.for(words)('%s: what record, mount and path agree on is served again', async ([, spoil]) => {
    await node.publish()
    await spoil()
    await node.restart()
    expect(await node.recover()).toEqual(RECOVERED)
    expect(await readKey()).toContain('PRIVATE KEY')
    expect(await node.askSocket()).toContain(VOLUME_ID)
  })

  test.for(words)('%s: a mount without a record waits', async ([, spoil]) => {
    await node.publish()
    await node.records.delete(VOLUME_ID)
    await spoil()
    await node.restart()
    expect(await node.recover()).toEqual(WAITING)
    expect(await readKey()).toContain('PRIVATE KEY')
  })

  const others = [
    { driverName: 'csi.countersign.dev', volumeHandle: 'csi-another' },
    { driverName: 'csi.other.example', volumeHandle: VOLUME_ID },
  ]
  test.for(others)('it names another volume (%o): nobody knows whose it is, and it waits', async (data) => {
    await node.publish()
    await node.writeVolumeData(JSON.stringify(data))
    await node.restart()
    expect(await node.recover()).toEqual(WAITING)
    expect(await readKey()).toContain('PRIVATE KEY')
    expect(await node.records.all()).toHaveLength(1)
  })

  test("a record that names another pod than its path's is not believed", async () => {
    await node.publish()
    const path = join(node.root, 'state', `${VOLUME_ID}.json`)
    const record = JSON.parse(await readFile(path, 'utf8')) as { pod: object }
    await writeFile(path, JSON.stringify({ ...record, pod: { ...record.pod, podUid: 'another' } }))
    await node.restart()
    expect(await node.recover()).toEqual(WAITING)
    expect(await readKey()).toContain('PRIVATE KEY')
  })
})
