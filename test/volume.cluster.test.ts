import { Buffer } from 'node:buffer'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  access,
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  statfs,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SystemMounter } from '../agent/volume/mounter.ts'
import { TmpfsPlace } from '../agent/volume/tmpfs-place.ts'
import { VolumeDelivery } from '../agent/volume/volume-delivery.ts'
import { pemDecode } from '../core/pki/pem.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { x509Bundle } from '../core/spiffe/bundle.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'
import { someDelivered } from './fakes/delivered.ts'

const run = promisify(execFile)
const mounter = new SystemMounter()
const parents = ['pods', 'uid', 'volumes', 'kubernetes.io~csi', 'identity with a space']
let root: string
let deliveries: VolumeDelivery[]

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'volume-'))
  await mkdir(join(root, ...parents), { recursive: true })
  deliveries = []
})
afterEach(async () => {
  for (const delivery of deliveries) await delivery.close()
  for (const { mountPoint } of await mounts()) await run('umount', ['--lazy', mountPoint])
  await rm(root, { recursive: true })
})

const volume = () => join(root, ...parents)
const target = () => join(volume(), 'mount')
const mounts = () => mounter.mountsAt(target())

function deliver(gid?: number): VolumeDelivery {
  const place = new TmpfsPlace({ root, parents, name: 'mount' }, mounter, systemClock)
  const delivery = new VolumeDelivery({ place, readers: gid ?? 'everyone', clock: systemClock })
  deliveries.push(delivery)
  return delivery
}

test('invariant 6: a volume is a tmpfs that is never swapped, and runs nothing', async () => {
  await deliver().write(await someDelivered())
  const [mount, ...covering] = await mounts()
  expect(covering).toEqual([])
  expect(mount).toMatchObject({ fsType: 'tmpfs', source: 'csi.countersign.dev' })
  expect(mount?.options).toEqual(
    expect.arrayContaining(['noswap', 'nosuid', 'nodev', 'noexec', 'size=1024k', 'nr_inodes=256', 'mode=755']),
  )
})

test('30 deliveries make one mount', async () => {
  const delivered = await someDelivered()
  for (let count = 0; count < 30; count += 1) await deliver().write(delivered)
  expect(await mounts()).toHaveLength(1)
})

test('remove unmounts while clients are connected, and leaves no folder', async () => {
  const delivery = deliver()
  await delivery.write(await someDelivered())
  const accepted: Socket[] = []
  await delivery.listen((connection) => accepted.push(connection))
  await symlink(target(), join(root, 's'))
  const clients = [1, 2, 3].map(() => connect(join(root, 's', 'socket')).resume())
  await expect.poll(() => accepted.length).toBe(3)
  const closed = clients.map((client) => once(client, 'close'))
  await delivery.remove()
  await Promise.all(closed)
  expect(await mounts()).toEqual([])
  expect(await readdir(volume())).toEqual([])
})

test('a volume that somebody looks at is detached, and what was in it is blank', async () => {
  const delivery = deliver()
  await delivery.write(await someDelivered())
  const looker = await open(join(target(), 'tls.key'))
  await delivery.remove()
  expect(await mounts()).toEqual([])
  expect((await looker.readFile()).every((byte) => byte === 0)).toBe(true)
  await looker.close()
})

test('an agent that comes back finds the SVID, and its socket takes the place of the old one', async () => {
  const delivered = await someDelivered()
  const before = deliver()
  await before.write(delivered)
  await before.listen((connection) => connection.end('before'))
  const after = deliver()
  expect(await after.read()).toEqual(delivered.svid)
  await after.listen((connection) => connection.end('after'))
  await before.close()
  await symlink(target(), join(root, 's'))
  expect(await text(connect(join(root, 's', 'socket')))).toBe('after')
  expect(await mounts()).toHaveLength(1)
})

test('a write for which there is no room leaves the files before in force', async () => {
  const delivery = deliver()
  await delivery.write(await someDelivered())
  const before = await readFile(join(target(), 'tls.crt'))
  // Its name is gone, and the room that it takes is not, until it is closed.
  const ballast = await open(join(target(), 'ballast'), 'w')
  await ballast.writeFile(Buffer.alloc(2 * 1024 * 1024)).catch(() => {})
  await unlink(join(target(), 'ballast'))
  await expect(delivery.write(await someDelivered())).rejects.toMatchObject({ code: 'volume_pinned' })
  expect(await readFile(join(target(), 'tls.crt'))).toEqual(before)
  await ballast.close()
  await delivery.write(await someDelivered())
  expect(await readFile(join(target(), 'tls.crt'))).not.toEqual(before)
})

test('files that a pod keeps open keep no volume from what it has to trust', async () => {
  const delivery = deliver()
  const { svid, bundles } = await someDelivered()
  const { own } = bundles
  const held: FileHandle[] = []
  const pin = async () => {
    for (;;) {
      await delivery.write({ svid, bundles })
      const generation = await readlink(join(target(), '..data'))
      for (const name of await readdir(join(target(), generation)))
        held.push(await open(join(target(), generation, name)))
    }
  }
  try {
    await expect(pin()).rejects.toMatchObject({ code: 'volume_pinned' })
    expect(held.length).toBeGreaterThan(100)
    // More than there is room for, and then less than before.
    for (const count of [40, 400, 2]) {
      const authorities = Array.from({ length: count }, () => own.authorities).flat()
      const later = { svid, bundles: { ...bundles, own: { ...own, authorities } } }
      await expect(delivery.write(later)).rejects.toMatchObject({ code: 'volume_pinned' })
      expect(pemDecode(await readFile(join(target(), 'ca.crt'), 'utf8'))).toHaveLength(count)
    }
  } finally {
    for (const file of held) await file.close()
  }
  await delivery.write({ svid, bundles })
  expect(await delivery.read()).toEqual(svid)
})

describe('what others put into a volume', () => {
  const inodes: [string, (index: number) => string][] = [
    // As kubelet makes the folder of a subPath: one component after the other.
    ['a deep folder', (index) => `x${'/x'.repeat(index)}`],
    ['a deep folder in a generation', (index) => `..data/x${'/x'.repeat(index)}`],
    ['a deep folder under a name of ours', (index) => `..data_next${'/x'.repeat(index)}`],
    ['a folder beside the other', (index) => `x${index}`],
    ['a generation beside the other', (index) => `..${100 + index}`],
    ['a name that is no UTF-8', (index) => `\xff${index}`],
    ['a name that is no UTF-8 in a generation', (index) => `..data/\xff${index}`],
    ['a name that is no UTF-8 in the next generation', (index) => `..2/\xff${index}`],
  ]
  test.for(inodes)('takes no inode that the files need: %s', async ([, nth]) => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    await delivery.listen((connection) => connection.end('hello'))
    const fill = async () => {
      if (nth(0).startsWith('..2/')) await mkdir(join(target(), '..2'))
      for (let index = 0; index < 1000; index += 1) await mkdir(Buffer.from(join(target(), nth(index)), 'latin1'))
    }
    await expect(fill()).rejects.toMatchObject({ code: 'ENOSPC' })
    await delivery.close()
    const after = deliver()
    const delivered = await someDelivered()
    await after.listen((connection) => connection.end('hello'))
    await after.write(delivered)
    expect(await after.read()).toEqual(delivered.svid)
    await symlink(target(), join(root, 's'))
    expect(await text(connect(join(root, 's', 'socket')))).toBe('hello')
    await after.remove()
  })

  test('takes no page that the files need', async () => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    await writeFile(join(target(), 'ballast'), Buffer.alloc(2 * 1024 * 1024)).catch(() => {})
    await delivery.write(await someDelivered())
    expect(await readdir(target())).not.toContain('ballast')
  })

  test('goes also while kubelet has bound it elsewhere for a container', async () => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    const [source, subPath] = [join(target(), '..data_next', 'x'), join(root, 'volume-subpaths')]
    await mkdir(source, { recursive: true })
    await mkdir(subPath)
    await run('mount', ['--bind', source, subPath])
    try {
      await delivery.write(await someDelivered())
      expect(await readdir(target())).not.toContain('..data_next')
    } finally {
      await run('umount', [subPath])
    }
    await delivery.remove()
  })

  test('goes also while a container has mounted on it', async () => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    const point = join(target(), '..2', 'x')
    await mkdir(point, { recursive: true })
    const script = 'mount -t tmpfs theirs "$0" && echo mounted && exec sleep 60'
    const container = spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', script, point])
    try {
      await once(container.stdout, 'data')
      await delivery.write(await someDelivered())
      expect(await readdir(join(target(), '..2'))).not.toContain('x')
    } finally {
      container.kill('SIGKILL')
      await once(container, 'close')
    }
    await delivery.remove()
  })

  test('is left alone on a generation that is a mount', async () => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    const elsewhere = join(root, 'elsewhere')
    await mkdir(join(elsewhere, 'theirs'), { recursive: true })
    await writeFile(join(elsewhere, 'tls.key'), 'theirs', { mode: 0o600 })
    await run('mount', ['--bind', elsewhere, join(target(), '..1')])
    try {
      const fill = async () => {
        for (let index = 0; index < 1000; index += 1) await mkdir(join(target(), `x${index}`))
      }
      await expect(fill()).rejects.toMatchObject({ code: 'ENOSPC' })
      await expect(delivery.write(await someDelivered())).rejects.toMatchObject({ code: 'volume_tampered' })
      await expect(delivery.shut()).rejects.toMatchObject({ code: 'volume_tampered' })
      expect(await readdir(elsewhere)).toEqual(['theirs', 'tls.key'])
      expect((await stat(join(elsewhere, 'tls.key'))).mode & 0o777).toBe(0o600)
    } finally {
      await run('umount', [join(target(), '..1')])
    }
    await delivery.write(await someDelivered())
    await delivery.remove()
  })

  test.for([
    ['tmpfs', '..2'],
    ['tmpfs', '..2/x'],
    ['bind', '..2'],
    ['bind', '..2/x'],
  ])('is refused where it is a mount, and not entered: %s in %s', async ([kind = '', within = '']) => {
    const delivery = deliver()
    await delivery.write(await someDelivered())
    const [point, elsewhere] = [join(target(), within, 'mounted'), join(target(), 'elsewhere')]
    await mkdir(point, { recursive: true })
    await mkdir(elsewhere)
    await run('mount', kind === 'bind' ? ['--bind', elsewhere, point] : ['-t', 'tmpfs', 'theirs', point])
    try {
      await writeFile(join(point, 'file'), 'theirs')
      const key = await readFile(join(target(), 'tls.key'))
      await expect(delivery.write(await someDelivered())).rejects.toMatchObject({ code: 'volume_tampered' })
      expect(await readFile(join(point, 'file'), 'utf8')).toBe('theirs')
      expect(await readFile(join(target(), 'tls.key'))).toEqual(key)
    } finally {
      await run('umount', [point])
    }
    await delivery.write(await someDelivered())
    await delivery.remove()
  })
})

test('a volume grows before it would be full, and keeps its protections', async () => {
  const delivery = deliver()
  const { svid, bundles } = await someDelivered()
  await delivery.write({ svid, bundles })
  const authorities = Array.from({ length: 900 }, () => bundles.own.authorities).flat()
  await delivery.write({ svid, bundles: { ...bundles, own: { ...bundles.own, authorities } } })
  const { blocks, bsize } = await statfs(target())
  expect(blocks * bsize).toBe(4 * 1024 * 1024)
  const [mount] = await mounts()
  expect(mount?.options).toEqual(expect.arrayContaining(['noswap', 'nosuid', 'nodev', 'noexec', 'size=4096k']))
})

describe('who may read', () => {
  const as = async (uid: number, gid: number, command: string) => {
    const args = ['--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', 'sh', '-c', command]
    return run('setpriv', args, { cwd: target() }).then(
      () => true,
      () => false,
    )
  }
  test('without fsGroup any user, as the path above is for root alone', async () => {
    await deliver().write(await someDelivered())
    expect(await as(1234, 1234, 'cat tls.key')).toBe(true)
    expect(await as(1234, 1234, 'echo x > tls.key || touch x || ln -s x y || rm ..data')).toBe(false)
  })

  test('with fsGroup its members', async () => {
    await deliver(2000).write(await someDelivered())
    expect(await as(1234, 2000, 'cat tls.key credential-bundle.pem')).toBe(true)
    expect(await as(1234, 1234, 'cat tls.key')).toBe(false)
    expect(await as(1234, 1234, 'cat credential-bundle.pem')).toBe(false)
    expect(await as(1234, 1234, 'cat tls.crt ca.crt')).toBe(true)
  })
})

test('a volume of 100 federated trust domains is written again and again: its inodes grow with its files', async () => {
  const { svid, bundles } = await someDelivered()
  const federated = Array.from({ length: 100 }, (_, index) =>
    x509Bundle(TrustDomain.parse(`partner-${index}.example`), bundles.own.authorities),
  )
  const delivery = deliver()
  await delivery.write({ svid, bundles })
  for (let generation = 0; generation < 4; generation += 1) {
    await delivery.write({ svid, bundles: { own: bundles.own, federated } })
  }
  expect((await statfs(target())).files).toBe(1024)
  await delivery.remove()
})

describe('what others mounted', () => {
  test('is neither written to nor covered', async () => {
    await mkdir(target())
    await run('mount', ['-t', 'tmpfs', 'theirs', target()])
    await expect(deliver().write(await someDelivered())).rejects.toMatchObject({ code: 'volume_tampered' })
    expect(await mounts()).toHaveLength(1)
    expect(await readdir(target())).toEqual([])
  })

  test('stacked mounts of an older agent all go', async () => {
    await mkdir(target())
    for (let count = 0; count < 3; count += 1) await run('mount', ['-t', 'tmpfs', 'csi.countersign.dev', target()])
    await deliver().remove()
    expect(await mounts()).toEqual([])
    await expect(access(target())).rejects.toThrow('ENOENT')
  })
})

test('a mount that fails leaves no folder, and says what mount(8) said to the operator alone', async () => {
  const place = new TmpfsPlace({ root, parents, name: 'mount' }, mounter, systemClock)
  const failing = Object.assign(Object.create(mounter) as SystemMounter, {
    mountTmpfs: () => run('mount', ['-t', 'nonsense', 'x', target()]),
  })
  const broken = new TmpfsPlace({ root, parents, name: 'mount' }, failing, systemClock)
  await expect(broken.prepare()).rejects.toThrow('nonsense')
  expect(await readdir(volume())).toEqual([])
  expect(await place.open()).toBeUndefined()
})
