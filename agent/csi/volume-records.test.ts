import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type VolumeRecord, VolumeRecords } from './volume-records.ts'

const record = {
  volumeId: 'csi-1',
  targetPath: '/var/lib/kubelet/pods/uid/volumes/kubernetes.io~csi/identity/mount',
  pod: { podUid: 'uid', podName: 'cart-0', namespace: 'shop', serviceAccount: 'cart' },
  gid: 2000,
}
const text = (change: object) => JSON.stringify({ version: 1, ...record, ...change })

let directory: string
let unreadable: string[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'records-'))
  unreadable = []
})
afterEach(() => rm(directory, { recursive: true }))

const open = () => VolumeRecords.open(directory, (name) => unreadable.push(name))
const put = (contents: string, name = 'csi-1.json') => writeFile(join(directory, name), contents)

test('what is saved is there for the agent that comes back', async () => {
  await (await open()).save(record)
  expect(await (await open()).all()).toEqual([record])
  await (await open()).delete('csi-1')
  await (await open()).delete('csi-1')
  expect(await readdir(directory)).toEqual([])
})

describe('of a newer agent', () => {
  test.for<[string, object]>([
    ['a field', { later: true }],
    ['a field of the pod', { pod: { ...record.pod, nodeName: 'node-a' } }],
  ])('%s that this one does not know is passed over', async ([, change]) => {
    await put(text(change))
    expect(await (await open()).all()).toEqual<VolumeRecord[]>([record])
    expect(unreadable).toEqual([])
  })
})

describe('one that cannot be read is told of, and the others are read', () => {
  test.for<[string, string]>([
    ['half written', '{"version":1'],
    ['of another form', text({ version: 2 })],
    ['a number for a name', text({ pod: { ...record.pod, podName: 7 } })],
    ['a name for a group', text({ gid: 'root' })],
    ['of a pod that is not said', text({ pod: undefined })],
    ["another volume's", text({ volumeId: 'csi-2' })],
  ])('%s', async ([, contents]) => {
    await put(contents)
    await put(text({ volumeId: 'csi-3' }), 'csi-3.json')
    expect(await (await open()).all()).toMatchObject([{ volumeId: 'csi-3' }])
    expect(unreadable).toEqual(['csi-1.json'])
  })

  test('a folder', async () => {
    await mkdir(join(directory, 'csi-0.json'))
    await put(text({}))
    expect(await (await open()).all()).toEqual([record])
    expect(unreadable).toEqual(['csi-0.json'])
  })
})

describe('what a kill left half saved', () => {
  test('goes at the start', async () => {
    await put('{"ver', 'csi-1.json.next')
    await put(text({}))
    expect(await (await open()).all()).toEqual([record])
    expect(await readdir(directory)).toEqual(['csi-1.json'])
  })

  test('and cannot go, keeps no agent from starting', async () => {
    await mkdir(join(directory, 'csi-1.json.next'))
    await open()
    expect(unreadable).toEqual(['csi-1.json.next'])
  })
})

test('one that cannot be saved leaves nothing half saved', async () => {
  const records = await open()
  await mkdir(join(directory, 'csi-1.json'))
  await expect(records.save(record)).rejects.toThrow('EISDIR')
  expect(await readdir(directory)).toEqual(['csi-1.json'])
})
