import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { CsiNode } from '../../test/fakes/csi-node.ts'
import { type PublishChange, publishRequest, unsignedToken, VOLUME_ID } from '../../test/fakes/publish-requests.ts'
import { Directory } from '../volume/directory.ts'

let node: CsiNode
beforeEach(async () => {
  node = await CsiNode.create()
})
afterEach(() => node.remove())

const RECOVERED = { recovered: 1, removed: 0, waiting: 0 }
const WAITING = { recovered: 0, removed: 0, waiting: 1 }
const LATER = unsignedToken(undefined, 'later')
const away = () => Promise.reject(new IdentityError('broker_unavailable', 'away'))
const noDescriptor = () =>
  Promise.reject(Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE', syscall: 'open' }))
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

describe('a kill before the first identity came', () => {
  beforeEach(async () => {
    node.workloads.issue = () => new Promise(() => {})
    node.publish().catch(() => {})
    await vi.waitUntil(() => node.mounter.mounts.length === 1)
    await node.restart()
  })

  test('leaves an empty volume, which waits: no container starts with it', async () => {
    expect(await node.recover()).toEqual(WAITING)
    node.workloads.issue = away
    await expect(node.publish()).rejects.toMatchObject({ code: 'broker_unavailable' })
    expect(node.mounter.mounts).toEqual([])
    expect(await readdir(dirname(node.target))).toEqual(['vol_data.json'])
    expect(await node.records.all()).toEqual([])
  })

  test('is made good by the next publish, on the mount that is there', async () => {
    await node.recover()
    await node.publish()
    expect(node.workloads.calls).toEqual(['add'])
    expect(await readKey()).toContain('PRIVATE KEY')
    expect(node.mounter.mounts).toHaveLength(1)
    expect(node.mounter.sizes).toHaveLength(1)
  })

  test('and a pod that is refused by then leaves nothing', async () => {
    await node.recover()
    const { volumeContext } = publishRequest(node.root)
    const refused = node.publish({ volumeContext: { ...volumeContext, x: 'y' } })
    await expect(refused).rejects.toMatchObject({ code: 'volume_attribute_unknown' })
    expect(node.mounter.mounts).toEqual([])
    expect(await node.records.all()).toEqual([])
  })

  test('goes where kubelet has forgotten the volume meanwhile', async () => {
    await rm(node.volumeData)
    expect(await node.recover()).toEqual({ recovered: 0, removed: 1, waiting: 0 })
    expect(node.mounter.mounts).toEqual([])
  })
})

test('a kill at the switch to the first files: their links are there before a publish is answered', async () => {
  await node.publish()
  const whole = await node.names()
  for (const name of whole.filter((each) => each !== 'socket')) await rm(join(node.target, name))
  await node.restart()
  expect(await node.recover()).toEqual(RECOVERED)
  expect(await node.names()).toEqual(whole)
  await node.publish()
  expect(await readKey()).toContain('PRIVATE KEY')
})

describe('a volume that containers use and that was not recovered', () => {
  beforeEach(async () => {
    await node.publish()
    await node.records.delete(VOLUME_ID)
    await node.restart()
    node.workloads.issue = away
  })
  const isUntouched = async () => {
    expect(await readKey()).toContain('PRIVATE KEY')
    expect(node.mounter.sizes).toHaveLength(1)
    expect(node.mounter.mounts).toHaveLength(1)
  }
  const isServed = async () => {
    await isUntouched()
    expect(node.workloads.calls.at(-1)).toBe('recover')
    expect(await node.askSocket()).toContain(VOLUME_ID)
  }

  test('is served even where its record cannot be saved', async () => {
    node.records.save = () => Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write' }))
    await node.publish({ token: LATER })
    await isServed()
    expect(node.workloads.tokens).toEqual([LATER])
  })

  test('stays as it is where it cannot be looked at, and is served once it can', async () => {
    vi.spyOn(node.mounter, 'mountsAt').mockImplementationOnce(noDescriptor)
    await expect(node.publish()).rejects.toThrow('EMFILE')
    await isUntouched()
    await node.publish()
    await isServed()
  })

  test('stays as it is where its files cannot be read for now', async () => {
    vi.spyOn(Directory.prototype, 'readFile').mockImplementationOnce(noDescriptor)
    await expect(node.publish()).rejects.toThrow('EMFILE')
    await isUntouched()
    await node.publish()
    await isServed()
  })

  test('stays where something was mounted over it, and beneath that', async () => {
    node.mounter.mounts.push(...node.mounter.mounts)
    await expect(node.publish()).rejects.toMatchObject({ code: 'volume_tampered' })
    expect(node.mounter.mounts).toHaveLength(2)
    expect(await readKey()).toContain('PRIVATE KEY')
    node.mounter.mounts.pop()
    await node.publish()
    await isServed()
  })

  test('and is damaged stays, for a new SVID is asked for', async () => {
    await rm(join(node.target, '..1', 'hint'))
    await node.publish({ token: LATER })
    await isServed()
    expect(node.workloads.tokens).toEqual([LATER])
  })

  test.for<[string, () => PublishChange]>([
    [
      'for an attribute that this version does not know',
      () => ({ volumeContext: { ...publishRequest(node.root).volumeContext, later: 'x' } }),
    ],
    ['for want of a token', () => ({ secrets: {} })],
    ["for another pod's token", () => ({ token: unsignedToken('another') })],
  ])('is not refused %s', async ([, change]) => {
    await node.publish(change())
    await isServed()
  })

  test('is not refused for the number of volumes', async () => {
    node.maxVolumesPerPod = 0
    await node.restart()
    await node.publish()
    await isServed()
  })

  test('goes when it is unpublished, even while it is taken up', async () => {
    const [taken, ended] = await Promise.allSettled([node.publish(), node.unpublish()])
    expect([taken.status, ended.status]).toEqual(['rejected', 'fulfilled'])
    expect(node.workloads.held.size).toBe(0)
    expect(node.mounter.mounts).toEqual([])
    expect(await node.records.all()).toEqual([])
  })
})

test('a volume whose record is kept but that cannot be looked at is not removed either', async () => {
  await node.publish()
  await node.restart()
  vi.spyOn(node.mounter, 'mountsAt').mockImplementationOnce(noDescriptor)
  expect(await node.recover()).toEqual(WAITING)
  vi.spyOn(node.mounter, 'mountsAt').mockImplementationOnce(noDescriptor)
  await expect(node.publish()).rejects.toThrow('EMFILE')
  expect(await readKey()).toContain('PRIVATE KEY')
  expect(await node.records.all()).toHaveLength(1)
})
