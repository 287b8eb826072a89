import { Buffer } from 'node:buffer'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import {
  chmod,
  type FileHandle,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  statfs,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { pemDecode } from '../../core/pki/pem.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { someDelivered } from '../../test/fakes/delivered.ts'
import { FakeMounter } from '../../test/fakes/fake-mounter.ts'
import { Directory } from './directory.ts'
import { DirectoryPlace } from './directory-place.ts'
import { TmpfsPlace } from './tmpfs-place.ts'
import type { Readers } from './readers.ts'
import { VolumeDelivery } from './volume-delivery.ts'
import type { VolumePlace } from './volume-place.ts'

let root: string
let mounter: FakeMounter
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'delivery-'))
  await mkdir(join(root, 'pods', 'uid'), { recursive: true })
  mounter = new FakeMounter()
})
afterEach(() => rm(root, { recursive: true }))

const target = () => join(root, 'pods', 'uid', 'mount')
const tmpfs = () => new TmpfsPlace({ root, parents: ['pods', 'uid'], name: 'mount' }, mounter, systemClock)
const deliver = (place: VolumePlace = tmpfs(), damaged?: (error: unknown) => void) =>
  new VolumeDelivery({ place, readers: 'everyone', clock: systemClock, ...(damaged && { damaged }) })

test('the files are those of the contract, and hold what was delivered', async () => {
  const delivery = deliver()
  const delivered = await someDelivered({ hint: 'external' })
  await delivery.write(delivered)
  expect((await readdir(target())).filter((name) => !name.startsWith('..')).toSorted()).toEqual([
    'ca.crt',
    'credential-bundle.pem',
    'partner.example.spiffe-trust-bundle.pem',
    'prod.example.spiffe-trust-bundle.pem',
    'tls.crt',
    'tls.key',
  ])
  const labels = async (name: string) =>
    pemDecode(await readFile(join(target(), name), 'utf8')).map(({ label }) => label)
  expect(await labels('credential-bundle.pem')).toEqual(['PRIVATE KEY', 'CERTIFICATE'])
  expect(await labels('tls.key')).toEqual(['PRIVATE KEY'])
  const leaf = new X509Certificate(await readFile(join(target(), 'tls.crt')))
  expect(leaf.subjectAltName).toBe('URI:spiffe://prod.example/ns/shop/sa/cart')
  expect(leaf.verify(new X509Certificate(await readFile(join(target(), 'ca.crt'))).publicKey)).toBe(true)
  await delivery.close()

  const again = deliver()
  expect(await again.read()).toEqual(delivered.svid)
  await again.close()
})

test('tls.crt appears last: whoever waits for it finds the rest', async () => {
  const appeared: string[] = []
  const link = vi.spyOn(Directory.prototype, 'link').mockImplementation(async function (this: Directory, name, to) {
    appeared.push(name)
    await symlink(to, this.at(name))
  })
  const delivery = deliver()
  try {
    await delivery.write(await someDelivered())
  } finally {
    link.mockRestore()
    await delivery.close()
  }
  expect(appeared).toHaveLength(1 + 6)
  expect(appeared.at(-1)).toBe('tls.crt')
})

test('what is damaged is told of and read as nothing, so that it is written anew', async () => {
  const damages: unknown[] = []
  const first = deliver()
  await first.write(await someDelivered())
  await first.close()
  const other = await someDelivered()
  await chmod(join(target(), '..1', 'tls.key'), 0o600)
  await writeFile(
    join(target(), '..1', 'tls.key'),
    `-----BEGIN PRIVATE KEY-----\n${Buffer.from(other.svid.privateKey).toString('base64')}\n-----END PRIVATE KEY-----\n`,
  )
  const delivery = deliver(tmpfs(), (error) => damages.push(error))
  expect(await delivery.read()).toBeUndefined()
  expect(damages).toMatchObject([{ code: 'volume_tampered' }])
  await delivery.write(await someDelivered())
  expect(await delivery.read()).toBeDefined()
  await delivery.remove()
})

test('files that are gone are damage too', async () => {
  const damages: unknown[] = []
  const first = deliver()
  await first.write(await someDelivered())
  await first.close()
  await rm(join(target(), '..1'), { recursive: true })
  const delivery = deliver(tmpfs(), (error) => damages.push(error))
  expect(await delivery.read()).toBeUndefined()
  expect(damages).toMatchObject([{ code: 'volume_tampered' }])
  await delivery.remove()
})

test.for(['child', 'readFile', 'names', 'readLink'] as const)(
  'a trouble of the machine that passes is no damage: %s',
  async (what) => {
    const damages: unknown[] = []
    const delivery = deliver(tmpfs(), (error) => damages.push(error))
    const delivered = await someDelivered()
    await delivery.write(delivered)
    const noDescriptor = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE', syscall: 'open' })
    const spy = vi.spyOn(Directory.prototype, what).mockRejectedValueOnce(noDescriptor)
    await expect(delivery.read()).rejects.toBe(noDescriptor)
    spy.mockRestore()
    expect(damages).toEqual([])
    expect(await delivery.read()).toEqual(delivered.svid)
    await delivery.remove()
  },
)

describe('links that a killed agent did not come to make', () => {
  const namesOf = async () => (await readdir(target())).filter((name) => !name.startsWith('..')).toSorted()

  test('are made before what the volume holds is taken up, and tls.crt last', async () => {
    const delivered = await someDelivered()
    const killed = deliver()
    await killed.write(delivered)
    await killed.close()
    const whole = await namesOf()
    for (const name of whole.filter((each) => each !== 'ca.crt')) await rm(join(target(), name))
    const link = vi.spyOn(Directory.prototype, 'link')
    const delivery = deliver()
    expect(await delivery.read()).toEqual(delivered.svid)
    expect(link.mock.calls.at(-1)?.[0]).toBe('tls.crt')
    link.mockRestore()
    expect(await namesOf()).toEqual(whole)
    expect(await readFile(join(target(), 'tls.key'), 'utf8')).toContain('PRIVATE KEY')
    await delivery.remove()
  })

  test('are not made over what is not ours, which the next write removes', async () => {
    const delivered = await someDelivered()
    const delivery = deliver()
    await delivery.write(delivered)
    await rm(join(target(), 'tls.key'))
    await writeFile(join(target(), 'tls.key'), 'theirs')
    expect(await delivery.read()).toEqual(delivered.svid)
    expect(await readFile(join(target(), 'tls.key'), 'utf8')).toBe('theirs')
    await delivery.write(delivered)
    expect(await readFile(join(target(), 'tls.key'), 'utf8')).toContain('PRIVATE KEY')
    await delivery.remove()
  })

  test('are not made for the folders that others put beside the files', async () => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    const before = await readdir(target())
    for (const name of ['evil', '..data_next', '..2']) await mkdir(join(target(), '..data', name))
    expect(await delivery.read()).toBeDefined()
    expect(await readdir(target())).toEqual(before)
    await delivery.remove()
  })
})

describe('a volume that others have filled', () => {
  const deep = `x/${'y/'.repeat(200)}`
  /** As a tmpfs without an inode left: nothing can be made until what is in the way has gone. */
  function fullWhile(isFull: () => Promise<boolean>) {
    const real = Directory.prototype.makeChild
    return vi.spyOn(Directory.prototype, 'makeChild').mockImplementation(async function (this: Directory, name) {
      if (await isFull()) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      return real.call(this, name)
    })
  }
  const names = async (folder: string) => (await readdir(folder)).toSorted()

  test('is written all the same: what is theirs goes, what is ours stays', async () => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    await delivery.listen(() => {})
    const [ours, files] = [await names(target()), await names(join(target(), '..1'))]
    await mkdir(join(target(), deep), { recursive: true })
    await mkdir(join(target(), '..data', deep), { recursive: true })
    await writeFile(join(target(), '..data', 'empty'), '')
    await writeFile(join(target(), 'theirs'), '')
    await symlink('..data/elsewhere', join(target(), 'link'))
    const full = fullWhile(async () => {
      const [all, inside] = [await readdir(target()), await readdir(join(target(), '..1'))]
      return all.length > ours.length || inside.length > files.length
    })
    try {
      await delivery.write(await someDelivered())
    } finally {
      full.mockRestore()
    }
    expect(await names(target())).toEqual([...ours, '..2'].toSorted())
    expect(await names(join(target(), '..1'))).toEqual(files)
    await delivery.remove()
  })

  test('by files that it keeps open, in names that are gone, trusts whom it shall, and keeps the key it has', async () => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    const held = ['ca.crt', 'prod.example.spiffe-trust-bundle.pem', 'partner.example.spiffe-trust-bundle.pem']
    const contents = (names: readonly string[]) =>
      Promise.all(names.map((name) => readFile(join(target(), name), 'utf8').catch(() => 'gone')))
    const [trust, secrets] = [await contents(held), await contents(['tls.key', 'tls.crt', 'credential-bundle.pem'])]
    const full = fullWhile(() => Promise.resolve(true))
    const next = await someDelivered()
    const { own } = next.bundles
    const later = {
      ...next,
      bundles: { own: { ...own, authorities: [...own.authorities, ...own.authorities] }, federated: [] },
    }
    await expect(delivery.write(later)).rejects.toMatchObject({ code: 'volume_pinned' })
    expect(full).toHaveBeenCalledTimes(1)
    full.mockRestore()
    expect(await contents(['tls.key', 'tls.crt', 'credential-bundle.pem'])).toEqual(secrets)
    const [authorities = '', bundle, withdrawn] = await contents(held)
    expect(authorities).not.toBe(trust[0])
    expect(pemDecode(authorities)).toHaveLength(2)
    expect(bundle).toBe(authorities)
    expect(withdrawn).toBe('gone')
    expect((await lstat(join(target(), '..1', 'ca.crt'))).mode & 0o777).toBe(0o444)
    await delivery.write(next)
    expect(pemDecode((await contents(['ca.crt'])).join())).toHaveLength(1)
    await delivery.remove()
  })

  test('without Kubernetes is full, and what others have put there stays', async () => {
    const delivery = deliver(new DirectoryPlace({ root, name: 'cart', allowDisk: true }))
    await delivery.write(await someDelivered())
    await mkdir(join(root, 'cart', 'theirs'))
    const full = fullWhile(() => Promise.resolve(true))
    await expect(delivery.write(await someDelivered())).rejects.toMatchObject({ code: 'volume_full' })
    full.mockRestore()
    expect(await readdir(join(root, 'cart'))).toContain('theirs')
    await delivery.remove()
  })
})

test('a volume is nothing, then empty, then filled, and filled still when it is damaged', async () => {
  const found = async () => {
    const delivery = deliver()
    const what = await delivery.found()
    await delivery.close()
    return what
  }
  expect(await found()).toBe('nothing')
  const delivery = deliver()
  await delivery.prepare()
  expect(await found()).toBe('empty')
  await delivery.write(await someDelivered())
  expect(await found()).toBe('filled')
  await rm(join(target(), '..1'), { recursive: true })
  expect(await found()).toBe('filled')
  await delivery.remove()
  expect(await found()).toBe('nothing')
})

describe('the socket', () => {
  test('is reached through the volume, whatever the length of its path, by any user', async () => {
    const parents = ['pods', 'uid', 'x'.repeat(120)]
    await mkdir(join(root, ...parents))
    const delivery = deliver(new TmpfsPlace({ root, parents, name: 'mount' }, mounter, systemClock))
    await delivery.listen((connection) => connection.end('hello'))
    expect((await lstat(join(root, ...parents, 'mount', 'socket'))).mode & 0o777).toBe(0o777)
    await symlink(join(root, ...parents, 'mount'), join(root, 's'))
    expect(await text(connect(join(root, 's', 'socket')))).toBe('hello')
    await delivery.remove()
  })

  test('is replaced by that of the next agent, and both may overlap', async () => {
    const first = deliver()
    await first.listen((connection) => connection.end('first'))
    const second = deliver()
    await second.listen((connection) => connection.end('second'))
    expect(await text(connect(join(target(), 'socket')))).toBe('second')
    await first.close()
    expect(await text(connect(join(target(), 'socket')))).toBe('second')
    expect(await readdir(target())).toEqual(['socket'])
    await second.remove()
  })

  test('takes the place of a folder that kubelet made under the name it is bound by', async () => {
    const before = deliver()
    await before.listen(() => {})
    await before.close()
    await mkdir(join(target(), '..socket_next', 'x'), { recursive: true })
    const delivery = deliver()
    await delivery.listen((connection) => connection.end('hello'))
    expect(await text(connect(join(target(), 'socket')))).toBe('hello')
    expect(await readdir(target())).toEqual(['socket'])
    await delivery.remove()
  })

  test('is refused where something else bears its name', async () => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    await symlink('/etc', join(target(), 'socket'))
    await expect(delivery.listen(() => {})).rejects.toMatchObject({ code: 'volume_tampered' })
    await delivery.remove()
  })
})

test('remove closes what is open, wipes, unmounts and leaves no folder', async () => {
  const delivery = deliver()
  await delivery.write(await someDelivered())
  const accepted = new Promise<Socket>((resolve) => void delivery.listen(resolve))
  await delivery.read()
  const connection = connect(join(target(), 'socket'))
  await accepted
  await Promise.all([once(connection.resume(), 'close'), delivery.remove()])
  expect(mounter.mounts).toEqual([])
  expect(await readdir(join(root, 'pods', 'uid'))).toEqual([])
  await delivery.remove()
})

test('remove goes on, and tells of it, where not everything can be wiped', async () => {
  const unwiped: unknown[] = []
  const delivery = new VolumeDelivery({
    place: tmpfs(),
    readers: 'everyone',
    clock: systemClock,
    unwiped: (error) => unwiped.push(error),
  })
  await delivery.write(await someDelivered())
  const failure = new Error('the first fails')
  const blank = vi.spyOn(Directory.prototype, 'blank').mockRejectedValueOnce(failure)
  await delivery.remove()
  blank.mockRestore()
  expect(unwiped).toEqual([failure])
  expect(mounter.mounts).toEqual([])
})

test('a mount that stays busy is detached', async () => {
  const delivery = deliver()
  await delivery.write(await someDelivered())
  mounter.busy = 100
  await delivery.remove()
  expect(mounter).toMatchObject({ mounts: [], lazy: 1 })
})

test('after remove nothing is written, not even by a write that was waiting', async () => {
  const delivery = deliver()
  const material = await someDelivered()
  const late = [delivery.write(material), delivery.write(material)]
  const removed = delivery.remove()
  await Promise.allSettled(late)
  await removed
  await expect(delivery.write(material)).rejects.toMatchObject({ code: 'workload_unknown' })
  await expect(delivery.listen(() => {})).rejects.toMatchObject({ code: 'workload_unknown' })
  expect(await readdir(join(root, 'pods', 'uid'))).toEqual([])
})

test('close leaves everything for the agent that comes back', async () => {
  const delivery = deliver()
  await delivery.write(await someDelivered())
  await delivery.listen(() => {})
  await delivery.close()
  expect(mounter.mounts).toHaveLength(1)
  expect(await readdir(target())).toEqual(expect.arrayContaining(['socket', '..data', 'tls.key']))
})

describe('the target path', () => {
  test('a link on the way is refused', async () => {
    await symlink('/etc', join(root, 'pods', 'link'))
    const place = new TmpfsPlace({ root, parents: ['pods', 'link'], name: 'mount' }, mounter, systemClock)
    await expect(deliver(place).prepare()).rejects.toMatchObject({ code: 'target_path_invalid' })
    expect(mounter.mounts).toEqual([])
  })

  test('a missing folder of the volume is refused at the start, and is nothing to remove at the end', async () => {
    const place = new TmpfsPlace({ root, parents: ['pods', 'gone'], name: 'mount' }, mounter, systemClock)
    await expect(deliver(place).prepare()).rejects.toMatchObject({ code: 'target_path_invalid' })
    await expect(deliver(place).remove()).resolves.toBeUndefined()
  })

  test('a link instead of the folder to mount on is refused, and what it leads to is left alone', async () => {
    await symlink('/etc', target())
    await expect(deliver().prepare()).rejects.toMatchObject({ code: 'volume_tampered' })
    expect((await lstat(target())).isSymbolicLink()).toBe(true)
  })

  test('a mount that is not ours is neither written to nor covered', async () => {
    const delivery = deliver()
    await delivery.prepare()
    await delivery.close()
    const [mount] = mounter.mounts
    if (!mount) throw new Error('not mounted')
    mounter.mounts.push(mount)
    await expect(deliver().prepare()).rejects.toMatchObject({ code: 'volume_tampered' })
    expect(mounter.mounts).toHaveLength(2)
    await deliver().remove()
    expect(mounter.mounts).toHaveLength(0)
  })

  test("a mount of somebody else's is not unmounted; what is ours beneath it goes once it has gone", async () => {
    const delivery = deliver()
    await delivery.prepare()
    await delivery.close()
    const [mount] = mounter.mounts
    if (!mount) throw new Error('not mounted')
    mounter.mounts.push({ ...mount, source: 'tmpfs' })
    await expect(deliver().remove()).rejects.toMatchObject({ code: 'volume_tampered' })
    expect(mounter.mounts).toHaveLength(2)
    mounter.mounts.pop()
    await deliver().remove()
    expect(mounter.mounts).toHaveLength(0)
  })
})

describe('without Kubernetes', () => {
  test('invariant 6: a folder on a disk is refused unless the operator allows it', async () => {
    const onDisk = (allowDisk: boolean) => deliver(new DirectoryPlace({ root, name: 'cart', allowDisk }))
    const { type } = await statfs(root)
    const refused = onDisk(false)
      .write(await someDelivered())
      .then(
        () => undefined,
        ({ code }: { code: string }) => code,
      )
    expect(await refused).toBe(type === 0x01021994 ? undefined : 'disk_not_allowed')
    const delivery = onDisk(true)
    await delivery.write(await someDelivered())
    expect(await readdir(join(root, 'cart'))).toContain('tls.key')
    await delivery.remove()
    expect(await readdir(root)).toEqual(['pods'])
  })

  test('a folder in which others may write is refused', async () => {
    await mkdir(join(root, 'cart'))
    await chmod(join(root, 'cart'), 0o777)
    const delivery = deliver(new DirectoryPlace({ root, name: 'cart', allowDisk: true }))
    await expect(delivery.write(await someDelivered())).rejects.toMatchObject({ code: 'volume_tampered' })
  })

  const own = process.getgid?.() ?? 0
  const modes: [Readers, Record<string, number>][] = [
    ['owner', { '.': 0o700, 'tls.key': 0o400, 'credential-bundle.pem': 0o400, socket: 0o700 }],
    [own, { '.': 0o750, 'tls.key': 0o440, 'credential-bundle.pem': 0o440, socket: 0o770 }],
    ['everyone', { '.': 0o755, 'tls.key': 0o444, 'credential-bundle.pem': 0o444, socket: 0o777 }],
  ]
  const [[, shut]] = modes as [(typeof modes)[0]]

  test.for(modes)('open to %s, then shut: what is new and what is there already', async ([readers, made]) => {
    const folder = join(root, 'cart')
    const modesIn = async (generation: string) => {
      const paths = { '.': folder, socket: join(folder, 'socket') }
      const found = Object.keys(made).map(async (name) => {
        const path = name in paths ? paths[name as keyof typeof paths] : join(folder, generation, name)
        return [name, (await lstat(path)).mode & 0o7777] as const
      })
      return Object.fromEntries(await Promise.all(found))
    }
    const place = new DirectoryPlace({ root, name: 'cart', allowDisk: true })
    const delivery = new VolumeDelivery({ place, readers, clock: systemClock })
    await delivery.write(await someDelivered())
    await delivery.write(await someDelivered())
    const accepted = new Promise<Socket>((resolve) => void delivery.listen(resolve))
    await delivery.read()
    const connection = connect(join(folder, 'socket')).resume()
    const ended = once(connection, 'close')
    await accepted
    expect(await modesIn('..1')).toEqual(made)
    expect(await modesIn('..2')).toEqual(made)
    await delivery.shut()
    await ended
    expect(await modesIn('..1')).toEqual(shut)
    expect(await modesIn('..2')).toEqual(shut)
    await delivery.write(await someDelivered())
    expect(await modesIn('..3')).toEqual(shut)
    await delivery.remove()
  })

  test('a folder that may not be given to a group is closed, and stays so', async () => {
    const handle = await open(root)
    const chown = vi.spyOn(Object.getPrototypeOf(handle) as FileHandle, 'chown')
    await handle.close()
    chown.mockRejectedValue(Object.assign(new Error('EPERM'), { code: 'EPERM' }))
    const directory = await Directory.open(root)
    await directory.grant({ mode: 0o755 })
    await expect(directory.grant({ mode: 0o750, gid: 54_321 })).rejects.toMatchObject({ code: 'config_invalid' })
    chown.mockRestore()
    expect((await directory.stat()).mode & 0o777).toBe(0o700)
    await directory.close()
  })

  test('a key that somebody replaced keeps neither folder, socket nor any other key open', async () => {
    const place = new DirectoryPlace({ root, name: 'cart', allowDisk: true })
    const delivery = new VolumeDelivery({ place, readers: 'everyone', clock: systemClock })
    await delivery.write(await someDelivered())
    await delivery.write(await someDelivered())
    await delivery.listen(() => {})
    const path = (...parts: string[]) => join(root, 'cart', ...parts)
    const outside = join(root, 'outside')
    await writeFile(outside, 'x', { mode: 0o640 })
    await rm(path('..1', 'tls.key'))
    await symlink(outside, path('..1', 'tls.key'))
    await expect(delivery.shut()).rejects.toMatchObject({ code: 'volume_tampered' })
    const others = ['.', 'socket', '..1/credential-bundle.pem', '..2/tls.key', '..2/credential-bundle.pem']
    const found = await Promise.all(others.map(async (name) => (await lstat(path(name))).mode & 0o777))
    expect(found).toEqual([0o700, 0o700, 0o400, 0o400, 0o400])
    expect((await lstat(outside)).mode & 0o777).toBe(0o640)
    // What is written next is nobody else's either.
    await delivery.write(await someDelivered())
    expect((await lstat(path('..3', 'tls.key'))).mode & 0o777).toBe(0o400)
    await delivery.remove()
  })

  test('whom a former agent left a folder open to is seen', async () => {
    const place = () => new DirectoryPlace({ root, name: 'cart', allowDisk: true })
    const delivery = new VolumeDelivery({ place: place(), readers: own, clock: systemClock })
    expect(await delivery.admits(own)).toBe(false)
    await delivery.write(await someDelivered())
    await delivery.close()
    const next = new VolumeDelivery({ place: place(), readers: 'owner', clock: systemClock })
    expect(await Promise.all((['owner', own, own + 1, 'everyone'] as const).map((each) => next.admits(each)))).toEqual([
      false,
      true,
      false,
      false,
    ])
    await next.remove()
  })

  test("a stranger's file beside ours keeps its folder", async () => {
    const delivery = deliver(new DirectoryPlace({ root, name: 'cart', allowDisk: true }))
    await delivery.write(await someDelivered())
    await writeFile(join(root, 'cart', 'theirs'), 'x')
    await delivery.remove()
    expect(await readdir(join(root, 'cart'))).toEqual(['theirs'])
  })
})
