import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { create } from '@bufbuild/protobuf'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { createLog } from '../../core/runtime/log.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { NodeUnpublishVolumeRequestSchema } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import { someDelivered } from '../../test/fakes/delivered.ts'
import { FakeMounter } from '../../test/fakes/fake-mounter.ts'
import { FakeWorkloads } from '../../test/fakes/fake-workloads.ts'
import {
  AUDIENCE,
  type PublishChange,
  publishRequest,
  unsignedToken,
  VOLUME_ID,
} from '../../test/fakes/publish-requests.ts'
import { TmpfsPlace } from '../volume/tmpfs-place.ts'
import { VolumeDelivery } from '../volume/volume-delivery.ts'
import type { Delivered } from '../workloads/workload.ts'
import { recoverVolumes } from './recovery.ts'
import type { TargetPath } from './target-path.ts'
import { VolumeRecords } from './volume-records.ts'
import { Volumes } from './volumes.ts'

let root: string
let mounter: FakeMounter
let workloads: FakeWorkloads
let records: VolumeRecords
let volumes: Volumes
let delivered: Delivered
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'csi-'))
  mounter = new FakeMounter()
  delivered = await someDelivered()
  records = await VolumeRecords.open(join(root, 'state'))
  restart()
  await mkdir(dirname(target()), { recursive: true })
  await symlink(dirname(target()), join(root, 'identity'))
  const data = { driverName: 'csi.countersign.dev', volumeHandle: VOLUME_ID }
  await writeFile(join(dirname(target()), 'vol_data.json'), JSON.stringify(data))
})
afterEach(async () => {
  await workloads.close()
  await rm(root, { recursive: true })
})

const log = createLog('agent', 'silent')
const publish = (change: PublishChange = {}) => volumes.publish(publishRequest(root, change))
const target = () => publishRequest(root).targetPath
const unpublish = () =>
  volumes.unpublish(create(NodeUnpublishVolumeRequestSchema, { volumeId: VOLUME_ID, targetPath: target() }))
const deliverTo = (to: TargetPath, gid: number | undefined) =>
  new VolumeDelivery({
    place: new TmpfsPlace(to, mounter, systemClock),
    readers: gid ?? 'everyone',
    clock: systemClock,
  })
const settings = () => ({ kubeletDirectory: root, audience: AUDIENCE, maxVolumesPerPod: 3 })
const recover = () => recoverVolumes({ volumes, records, mounter, deliverTo, settings: settings() }, log)

function restart(): void {
  workloads = new FakeWorkloads(() => Promise.resolve(delivered))
  volumes = new Volumes({ workloads, records, deliverTo, settings: settings(), log })
}

// By a link of the pod's folder: the whole path can be longer than the 107 octets of unix(7).
const askSocket = () => text(connect(join(root, 'identity', 'mount', 'socket')))
const nothingLeft = async () => {
  expect(mounter.mounts).toEqual([])
  expect(await readdir(dirname(target()))).toEqual(['vol_data.json'])
  expect(await records.all()).toEqual([])
}

test('when a publish is answered, identity and socket are there', async () => {
  await publish()
  expect(await readFile(join(target(), 'tls.key'), 'utf8')).toContain('PRIVATE KEY')
  expect(await askSocket()).toBe(`you are ${VOLUME_ID}\n`)
})

test('the volume is mounted while the broker is asked', async () => {
  const [mounting, asking] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const mountTmpfs = mounter.mountTmpfs.bind(mounter)
  mounter.mountTmpfs = async (on, sizeBytes) => {
    mounting.resolve()
    await asking.promise
    return mountTmpfs(on, sizeBytes)
  }
  workloads.issue = async () => {
    asking.resolve()
    await mounting.promise
    return delivered
  }
  await publish()
  expect(await readFile(join(target(), 'tls.key'), 'utf8')).toContain('PRIVATE KEY')
})

test('30 publishes make one mount, and each brings its token', async () => {
  await Promise.all(Array.from({ length: 10 }, (_, count) => publish({ token: unsignedToken(undefined, `${count}`) })))
  for (let count = 10; count < 30; count += 1) await publish({ token: unsignedToken(undefined, `${count}`) })
  expect(mounter.sizes).toHaveLength(1)
  expect(workloads.calls).toEqual(['add'])
  expect(workloads.tokens.toSorted()).toEqual(
    Array.from({ length: 30 }, (_, count) => unsignedToken(undefined, `${count}`)).toSorted(),
  )
})

describe('a republish is answered OK', () => {
  test.for<[string, PublishChange]>([
    ['with an attribute that this version does not know', { volumeContext: { spiffeId: 'x' } }],
    ['without a token', { secrets: {} }],
    ["with another pod's token", { token: unsignedToken('another') }],
    ['with a token that is none', { token: 'x' }],
  ])('%s', async ([, change]) => {
    await publish()
    await publish(change)
    const taken = 'volumeContext' in change ? 2 : 1
    expect(workloads.tokens).toEqual(Array.from({ length: taken }, () => unsignedToken()))
  })

  test('but not on another target path', async () => {
    await publish()
    const targetPath = target().replace('identity', 'other')
    await expect(publish({ targetPath })).rejects.toMatchObject({ code: 'volume_request_invalid' })
  })
})

describe('a first publish that fails leaves nothing', () => {
  test('when the broker is away, and the error lets kubelet come again', async () => {
    workloads.issue = () => Promise.reject(new IdentityError('broker_unavailable', 'away'))
    await expect(publish()).rejects.toMatchObject({ code: 'broker_unavailable' })
    await nothingLeft()
    workloads.issue = () => Promise.resolve(delivered)
    await publish()
    expect(mounter.mounts).toHaveLength(1)
  })

  test('when the mount fails', async () => {
    mounter.mountTmpfs = () => Promise.reject(new IdentityError('mount_failed', 'mount failed'))
    // The broker would let everybody wait; nobody waits for it.
    workloads.issue = () => new Promise(() => {})
    await expect(publish()).rejects.toMatchObject({ code: 'mount_failed' })
    await nothingLeft()
    expect(workloads.held.size).toBe(0)
  })

  test('when the mount fails, and only then is it answered', async () => {
    mounter.mountTmpfs = () => Promise.reject(new IdentityError('mount_failed', 'mount failed'))
    const removing = Promise.withResolvers<void>()
    const remove = workloads.remove.bind(workloads)
    workloads.remove = (id) => removing.promise.then(() => remove(id))
    let isAnswered = false
    const published = publish().finally(() => (isAnswered = true))
    published.catch(() => {})
    await expect.poll(() => workloads.calls).toEqual(['add'])
    await expect.poll(() => workloads.held.size).toBe(0)
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resume) => setImmediate(resume))
    expect(isAnswered).toBe(false)
    removing.resolve()
    await expect(published).rejects.toMatchObject({ code: 'mount_failed' })
    await nothingLeft()
  })

  test('when it is refused for an attribute', async () => {
    const { volumeContext } = publishRequest(root)
    await expect(publish({ volumeContext: { ...volumeContext, x: 'y' } })).rejects.toMatchObject({
      code: 'volume_attribute_unknown',
    })
    await nothingLeft()
  })
})

describe('a pod may have so many volumes and no more', () => {
  const nth = (index: number): PublishChange => ({
    volumeId: `csi-${index}`,
    targetPath: target().replace('identity', `identity-${index}`),
  })
  const publishNth = async (index: number) => {
    const folder = dirname(target().replace('identity', `identity-${index}`))
    await mkdir(folder, { recursive: true })
    await writeFile(
      join(folder, 'vol_data.json'),
      JSON.stringify({ driverName: 'csi.countersign.dev', volumeHandle: `csi-${index}` }),
    )
    return publish(nth(index))
  }
  const refused = { code: 'volume_request_invalid', message: 'a pod may have at most 3 volumes of this driver' }

  test('those that are on their way count, a republish does not, and one that goes makes room', async () => {
    const all = await Promise.allSettled([0, 1, 2, 3].map(publishNth))
    expect(all.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected'])
    const taken = all.findIndex(({ status }) => status === 'fulfilled')
    const left = all.findIndex(({ status }) => status === 'rejected')
    expect(all[left]).toMatchObject({ reason: refused })
    await publishNth(taken)
    const { volumeId = '', targetPath = '' } = nth(taken)
    await volumes.unpublish(create(NodeUnpublishVolumeRequestSchema, { volumeId, targetPath }))
    await publishNth(left)
    expect(mounter.mounts).toHaveLength(3)
  })

  test('those of the agent before count, and are all served', async () => {
    for (const index of [0, 1, 2]) await publishNth(index)
    await workloads.close()
    restart()
    expect(await recover()).toEqual({ recovered: 3, removed: 0, waiting: 0 })
    await expect(publishNth(3)).rejects.toMatchObject(refused)
    expect((await records.all()).map(({ volumeId }) => volumeId)).not.toContain('csi-3')
  })
})

describe('unpublish', () => {
  test('ends a volume, and may be repeated', async () => {
    await publish()
    await Promise.all([unpublish(), unpublish()])
    await nothingLeft()
    await unpublish()
  })

  test('of a volume that nobody knows is fine', () => unpublish())

  test('of a pod whose folder is gone is fine', async () => {
    await rm(join(root, 'pods'), { recursive: true })
    await unpublish()
  })

  test('while the first publish is in flight ends it and leaves nothing', async () => {
    const started = new Promise<void>((resolve) => {
      workloads.issue = () => {
        resolve()
        return new Promise(() => {})
      }
    })
    const published = publish()
    await started
    const [refused] = await Promise.allSettled([published, unpublish()])
    expect(refused).toMatchObject({ reason: { message: 'removed' } })
    await nothingLeft()
  })

  test('before the first publish has come to ask for an identity', async () => {
    const [refused] = await Promise.allSettled([publish(), unpublish()])
    expect(refused).toMatchObject({ reason: { code: 'workload_unknown' } })
    expect(workloads.calls).not.toContain('add')
    await nothingLeft()
  })

  test('then publish, while it still runs: one after the other', async () => {
    await publish()
    const [, again] = await Promise.allSettled([unpublish(), publish()])
    expect(again.status).toBe('fulfilled')
    expect(mounter.mounts).toHaveLength(1)
    expect(await askSocket()).toContain(VOLUME_ID)
  })

  test('on another target path is refused', async () => {
    await publish()
    const targetPath = target().replace('identity', 'other')
    const request = create(NodeUnpublishVolumeRequestSchema, { volumeId: VOLUME_ID, targetPath })
    await expect(volumes.unpublish(request)).rejects.toMatchObject({ code: 'volume_request_invalid' })
    expect(await askSocket()).toContain(VOLUME_ID)
  })
})

describe('after a restart of the agent', () => {
  test('volumes are served again from what they hold, without a token and without a mount', async () => {
    await publish()
    await workloads.close()
    restart()
    expect(await recover()).toEqual({ recovered: 1, removed: 0, waiting: 0 })
    expect(mounter.sizes).toHaveLength(1)
    expect(await askSocket()).toContain(VOLUME_ID)
    expect(await workloads.held.get(VOLUME_ID)?.delivery.read()).toEqual(delivered.svid)
    await publish({ token: unsignedToken(undefined, 'later') })
    expect(workloads.tokens).toEqual([unsignedToken(undefined, 'later')])
    await unpublish()
    await nothingLeft()
  })

  test('invariant 6: the record of a volume holds no token and no key', async () => {
    await publish()
    const record = await readFile(join(root, 'state', `${VOLUME_ID}.json`), 'utf8')
    expect(record).not.toMatch(/eyJ|PRIVATE KEY|token/)
    expect(await records.all()).toMatchObject([{ volumeId: VOLUME_ID, pod: { serviceAccount: 'cart' } }])
  })

  test('unpublish needs no record', async () => {
    await publish()
    await workloads.close()
    restart()
    await unpublish()
    await nothingLeft()
  })

  test('a volume whose record is lost is taken up at the next publish, and never emptied', async () => {
    await publish()
    await workloads.close()
    await records.delete(VOLUME_ID)
    restart()
    workloads.issue = () => Promise.reject(new IdentityError('broker_unavailable', 'away'))
    expect(await recover()).toEqual({ recovered: 0, removed: 0, waiting: 1 })
    await publish({ token: unsignedToken(undefined, 'later') })
    expect(workloads.calls).toEqual(['recover'])
    expect(workloads.tokens).toEqual([unsignedToken(undefined, 'later')])
    expect(mounter.sizes).toHaveLength(1)
    expect(await readFile(join(target(), 'tls.key'), 'utf8')).toContain('PRIVATE KEY')
    expect(await records.all()).toHaveLength(1)
  })

  test('a volume that kubelet has forgotten goes, with a record or without', async () => {
    for (const recorded of [true, false]) {
      await publish()
      await workloads.close()
      if (!recorded) await records.delete(VOLUME_ID)
      const data = join(dirname(target()), 'vol_data.json')
      const text = await readFile(data)
      await rm(data)
      restart()
      expect(await recover()).toEqual({ recovered: 0, removed: 1, waiting: 0 })
      await writeFile(data, text)
      await nothingLeft()
    }
  })

  test("kubelet's folder may be a link of the operator's", async () => {
    await symlink(root, `${root}-link`)
    const real = root
    root = `${real}-link`
    restart()
    await publish()
    await workloads.close()
    await records.delete(VOLUME_ID)
    restart()
    expect(await recover()).toEqual({ recovered: 0, removed: 0, waiting: 1 })
    await publish()
    await unpublish()
    await nothingLeft()
    await rm(root)
    root = real
  })

  test('after a reboot of the node only records are left, and go', async () => {
    await publish()
    await workloads.close()
    await mounter.unmount({ realPath: () => Promise.resolve(dirname(target())) } as never, 'mount', false)
    restart()
    expect(await recover()).toEqual({ recovered: 0, removed: 1, waiting: 0 })
    await nothingLeft()
  })

  test('a record that cannot be read is as good as none', async () => {
    await publish()
    await workloads.close()
    await writeFile(join(root, 'state', `${VOLUME_ID}.json`), '{')
    restart()
    expect(await recover()).toEqual({ recovered: 0, removed: 0, waiting: 1 })
    expect(mounter.mounts).toHaveLength(1)
  })
})
