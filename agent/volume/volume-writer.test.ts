import { Buffer } from 'node:buffer'
import {
  chown,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { handOver } from './access.ts'
import { Directory } from './directory.ts'
import { errnoOf } from './errno.ts'
import type { VolumeFile } from './volume-files.ts'
import { wipe, writeGeneration } from './volume-writer.ts'

let path: string
let volume: Directory
beforeEach(async () => {
  // A tmpfs, as volumes are.
  path = await mkdtemp('/dev/shm/volume-')
  volume = await Directory.open(path)
})
afterEach(async () => {
  await volume.close()
  await rm(path, { recursive: true })
})

function files(text: string, ...more: string[]): VolumeFile[] {
  const file = (name: string, secret = false): VolumeFile => ({
    name,
    contents: Buffer.from(text),
    secret,
    visible: true,
  })
  return [
    file('tls.crt'),
    file('tls.key', true),
    file('credential-bundle.pem', true),
    ...more.map((name) => file(name)),
    { ...file('hint'), visible: false },
  ]
}

const text = (name: string) => readFile(join(path, name), 'utf8')

test('files change at once, and the generation before stays until the next switch', async () => {
  await writeGeneration(volume, files('one'), 'everyone', 'removed')
  const opened = await Directory.open(join(path, '..data'))
  await writeGeneration(volume, files('two'), 'everyone', 'removed')
  expect(await text('tls.crt')).toBe('two')
  expect((await opened.readFile('tls.key', 100)).toString()).toBe('one')
  expect((await readdir(path)).toSorted()).toEqual([
    '..1',
    '..2',
    '..data',
    'credential-bundle.pem',
    'tls.crt',
    'tls.key',
  ])
  await writeGeneration(volume, files('three'), 'everyone', 'removed')
  expect((await readdir(path)).filter((name) => /^\.\.\d/.test(name)).toSorted()).toEqual(['..2', '..3'])
  await opened.close()
})

test('a file whose name begins with two dots, as a trust domain may, is written again and goes like any other', async () => {
  const name = '..partner.example.spiffe-trust-bundle.pem'
  for (const word of ['one', 'two', 'three']) {
    await writeGeneration(volume, files(word, name), 'everyone', 'removed')
    expect(await text(name)).toBe(word)
  }
  await writeGeneration(volume, files('four'), 'everyone', 'removed')
  expect(await readdir(path)).not.toContain(name)
})

test('a reader in a loop never sees a key beside another certificate, through 1,000 generations', async () => {
  await writeGeneration(volume, files('0'), 'everyone', 'removed')
  const stopping = new AbortController()
  let pairs = 0
  const seen = new Set<string>()
  const read = async () => {
    while (!stopping.signal.aborted) {
      const folder = await Directory.open(join(path, '..data'))
      try {
        const [certificate, key] = [await folder.readFile('tls.crt', 9), await folder.readFile('tls.key', 9)]
        expect(key.toString()).toBe(certificate.toString())
        expect(await text('credential-bundle.pem')).toMatch(/^\d+$/)
        seen.add(key.toString())
        pairs += 1
      } catch (error) {
        // Two switches while it looked: what it opened is gone as a whole, and never half there.
        if (errnoOf(error) !== 'ENOENT') throw error
      } finally {
        await folder.close()
      }
    }
  }
  const reader = read()
  for (let count = 1; count <= 1000; count += 1) await writeGeneration(volume, files(`${count}`), 'everyone', 'removed')
  stopping.abort()
  await reader
  expect(pairs).toBeGreaterThan(50)
  expect(seen.size).toBeGreaterThan(50)
  expect(await text('tls.key')).toBe('1000')
})

describe('modes', () => {
  const modeOf = async (name: string) => {
    const { mode, gid } = await lstat(join(path, '..1', name))
    return [mode & 0o7777, gid]
  }
  const own = process.getgid?.() ?? 0

  test('without fsGroup any user of the pod reads', async () => {
    await writeGeneration(volume, files('x'), 'everyone', 'removed')
    expect(await modeOf('tls.key')).toEqual([0o444, own])
    expect(await modeOf('.')).toEqual([0o755, own])
  })

  test('for the owner alone, nobody else reads what holds a key', async () => {
    await writeGeneration(volume, files('x'), 'owner', 'removed')
    expect(await modeOf('tls.key')).toEqual([0o400, own])
    expect(await modeOf('credential-bundle.pem')).toEqual([0o400, own])
    expect(await modeOf('tls.crt')).toEqual([0o444, own])
  })

  test('with fsGroup only its group reads what holds a key', async () => {
    await writeGeneration(volume, files('x'), own, 'removed')
    expect(await modeOf('tls.key')).toEqual([0o440, own])
    expect(await modeOf('credential-bundle.pem')).toEqual([0o440, own])
    expect(await modeOf('tls.crt')).toEqual([0o444, own])
  })
})

test.for([
  {
    errno: 'EPERM',
    refusal: { code: 'config_invalid', message: expect.stringContaining('the group 42: ') as unknown },
  },
  { errno: 'EIO', refusal: { code: 'EIO' } },
])('a group that files cannot be given to: $errno', async ({ errno, refusal }) => {
  const chown = () => Promise.reject(Object.assign(new Error(errno), { code: errno }))
  await expect(handOver(42, chown)).rejects.toMatchObject(refusal)
  await expect(handOver(undefined, chown)).resolves.toBeUndefined()
})

const names = async () => (await readdir(path)).toSorted()
const PARTNER = 'partner.example.spiffe-trust-bundle.pem'
const [OURS, LINKS] = [files('').length, ['credential-bundle.pem', 'tls.crt', 'tls.key']]

describe('what was planted makes way, and leads nowhere', () => {
  const planted: [string, (outside: string) => Promise<unknown>][] = [
    ['a ..data that leads out', (outside) => symlink(outside, join(path, '..data'))],
    ['a folder as ..data', () => mkdir(join(path, '..data', 'x'), { recursive: true })],
    ['a link as ..data_next', (outside) => symlink(outside, join(path, '..data_next'))],
    ['a folder as ..data_next', () => mkdir(join(path, '..data_next'))],
    ['the next generation as a link', (outside) => symlink(outside, join(path, '..1'))],
    ['the next generation as a file', () => writeFile(join(path, '..1'), 'x')],
    ['the next generation with a folder inside', () => mkdir(join(path, '..1', 'x'), { recursive: true })],
    [
      'the next generation with a link inside a folder',
      async (outside) => {
        await mkdir(join(path, '..1', 'x', 'y'), { recursive: true })
        await symlink(outside, join(path, '..1', 'x', 'y', 'z'))
      },
    ],
    ['a generation that would come after all others', () => mkdir(join(path, '..999999999999999'))],
    ['tls.key as a link that leads out', (outside) => symlink(join(outside, 'file'), join(path, 'tls.key'))],
    ['tls.key as a file', () => writeFile(join(path, 'tls.key'), 'x')],
    ['tls.key as a folder', () => mkdir(join(path, 'tls.key', 'x'), { recursive: true })],
  ]
  test.for(planted)('%s', async ([, plant]) => {
    const outside = await mkdtemp(join(tmpdir(), 'outside-'))
    await writeFile(join(outside, 'file'), 'theirs')
    await plant(outside)
    await writeGeneration(volume, files('x'), 'everyone', 'removed')
    expect(await readdir(outside)).toEqual(['file'])
    expect(await readFile(join(outside, 'file'), 'utf8')).toBe('theirs')
    expect(await names()).toEqual(['..1', '..data', ...LINKS])
    expect(await readlink(join(path, '..data'))).toBe('..1')
    expect(await text('tls.key')).toBe('x')
    await rm(outside, { recursive: true })
  })
})

describe("where others keep things too, what bears a file's name is refused and stays", () => {
  const planted: [string, () => Promise<unknown>][] = [
    ['a link', () => symlink('/etc/hostname', join(path, 'tls.key'))],
    ['a file', () => writeFile(join(path, 'tls.key'), 'x')],
    ['a folder', () => mkdir(join(path, 'tls.key'))],
  ]
  test.for(planted)('%s', async ([, plant]) => {
    await plant()
    const refused = writeGeneration(volume, files('x'), 'everyone', 'refused')
    await expect(refused).rejects.toMatchObject({ code: 'volume_tampered' })
    expect(await readdir(path)).toEqual(['tls.key'])
  })
})

describe('the folders that kubelet makes for a subPath hold up no write, and do not stay in the way', () => {
  const subPaths: [string, string?][] = [
    ['..data_next'],
    ['..data_next/x/y'],
    ['..2'],
    ['..2/tls.key/x'],
    ['..3/x'],
    ['..999999999999999/x'],
    ['..data/evil/x'],
    [`..data/${PARTNER}`],
    [PARTNER],
    [`${PARTNER}/x`],
    ['names that a removal might choose for what it moves', '..2/0/1/2'],
    ['a thousand of them, one in the other', `..2${'/x'.repeat(1000)}`],
  ]
  test.for(subPaths)('%s', async ([name, subPath = name]) => {
    await writeGeneration(volume, files('0'), 'everyone', 'removed')
    for (const word of ['1', '2', '3']) {
      // The container is started again and again.
      await mkdir(join(path, subPath), { recursive: true }).catch(() => {})
      await writeGeneration(volume, files(word, PARTNER), 'everyone', 'removed')
      for (const name of [...LINKS, PARTNER]) expect(await text(name)).toBe(word)
      expect(await readlink(join(path, '..data'))).toBe(`..${Number(word) + 1}`)
    }
    await writeGeneration(volume, files('4', PARTNER), 'everyone', 'removed')
    expect(await names()).toEqual(['..4', '..5', '..data', ...LINKS.slice(0, 1), PARTNER, ...LINKS.slice(1)])
    expect(await readdir(join(path, '..5'))).toHaveLength(OURS + 1)
  })

  test('what is not in the way stays, and so does what a removed link led to', async () => {
    await mkdir(join(path, 'theirs', 'x'), { recursive: true })
    await mkdir(join(path, '..data_next'))
    await symlink('../theirs', join(path, '..data_next', 'link'))
    for (const word of ['1', '2']) await writeGeneration(volume, files(word), 'everyone', 'removed')
    expect(await readdir(join(path, 'theirs'))).toEqual(['x'])
  })

  test('a mount in the way is not entered, and is refused before anything is switched', async () => {
    await writeGeneration(volume, files('one'), 'everyone', 'removed')
    await mkdir(join(path, '..2', 'mounted', 'x'), { recursive: true })
    const mountId = vi.spyOn(Directory.prototype, 'mountId').mockImplementation(async function (this: Directory) {
      return (await this.realPath()).endsWith('/mounted') ? 'another' : 'ours'
    })
    try {
      const refused = writeGeneration(volume, files('two'), 'everyone', 'removed')
      await expect(refused).rejects.toMatchObject({ code: 'volume_tampered' })
    } finally {
      mountId.mockRestore()
    }
    expect(await readdir(join(path, '..2', 'mounted'))).toEqual(['x'])
    expect(await text('tls.key')).toBe('one')
    expect(await names()).toEqual(['..1', '..2', '..data', ...LINKS])
  })

  test('a folder that cannot be removed is refused', async () => {
    await mkdir(join(path, '..data_next'))
    const busy = Object.assign(new Error('EBUSY'), { code: 'EBUSY' })
    const removeChild = vi.spyOn(Directory.prototype, 'removeChild').mockRejectedValue(busy)
    try {
      const refused = writeGeneration(volume, files('x'), 'everyone', 'removed')
      await expect(refused).rejects.toMatchObject({ code: 'volume_tampered', cause: busy })
    } finally {
      removeChild.mockRestore()
    }
  })
})

test('writes that fail after the switch leave no pile of generations, and neither do those that cannot clear one', async () => {
  for (const word of ['one', 'two']) await writeGeneration(volume, files(word), 'everyone', 'removed')
  const generations = async () => (await names()).filter((name) => /^\.\.\d/.test(name))
  const failing = async (method: 'link' | 'removeChild', isHit: (name: string) => boolean) => {
    const real = Directory.prototype[method]
    const spy = vi.spyOn(Directory.prototype, method).mockImplementation(function (
      this: Directory,
      ...args: [string, string]
    ) {
      return isHit(args[0]) ? Promise.reject(new Error('no')) : real.apply(this, args)
    })
    for (let count = 0; count < 5; count += 1) {
      const write = writeGeneration(volume, files(`${count}`, PARTNER), 'everyone', 'removed')
      await expect(write).rejects.toThrow('no')
    }
    spy.mockRestore()
  }
  await failing('link', (name) => name === PARTNER)
  expect(await generations()).toEqual(['..6', '..7'])
  await writeGeneration(volume, files('whole', PARTNER), 'everyone', 'removed')
  await mkdir(join(path, '..1', 'x'), { recursive: true })
  await failing('removeChild', (name) => name === '..1')
  expect(await generations()).toEqual(['..1', '..7', '..8'])
  expect(await text(PARTNER)).toBe('whole')
})

test('what a crash left half written goes at the next write', async () => {
  await writeGeneration(volume, files('one'), 'everyone', 'removed')
  await mkdir(join(path, '..2'))
  await writeFile(join(path, '..2', 'tls.key'), 'half')
  await writeGeneration(volume, files('two'), 'everyone', 'removed')
  expect(await text('tls.key')).toBe('two')
})

test('a write that fails leaves the generation before in force', async () => {
  await writeGeneration(volume, files('one'), 'everyone', 'removed')
  await expect(writeGeneration(volume, files('two', 'n'.repeat(256)), 'everyone', 'removed')).rejects.toThrow(
    'ENAMETOOLONG',
  )
  expect(await text('tls.key')).toBe('one')
  expect(await readdir(path)).not.toContain('..2')
})

test('a generation that another agent is writing at the same time stays', async () => {
  await writeGeneration(volume, files('one'), 'everyone', 'removed')
  const makeChild = vi.spyOn(Directory.prototype, 'makeChild').mockImplementationOnce(async (name) => {
    await mkdir(join(path, name))
    await writeFile(join(path, name, 'tls.key'), 'theirs')
    makeChild.mockRestore()
    return volume.makeChild(name)
  })
  await expect(writeGeneration(volume, files('two'), 'everyone', 'removed')).rejects.toMatchObject({ code: 'EEXIST' })
  expect(await text('..2/tls.key')).toBe('theirs')
  expect(await text('tls.key')).toBe('one')
})

test('FS-06: the file of a trust domain that is no longer federated with goes', async () => {
  await writeGeneration(volume, files('one', 'partner.example.spiffe-trust-bundle.pem'), 'everyone', 'removed')
  expect(await text('partner.example.spiffe-trust-bundle.pem')).toBe('one')
  await writeGeneration(volume, files('two'), 'everyone', 'removed')
  expect(await readdir(path)).not.toContain('partner.example.spiffe-trust-bundle.pem')
})

test('wipe blanks every file, removes what is ours and leaves the rest', async () => {
  await writeGeneration(volume, files('one'), 'everyone', 'removed')
  await writeFile(join(path, 'theirs'), 'x')
  const file = await open(join(path, '..1', 'tls.key'))
  await wipe(volume)
  expect(await readdir(path)).toEqual(['theirs'])
  expect((await file.readFile()).equals(Buffer.alloc(3))).toBe(true)
  await file.close()
})

describe('wipe', () => {
  const openKeys = () => Promise.all(['..1', '..2'].map((name) => open(join(path, name, 'tls.key'))))
  beforeEach(async () => {
    for (const word of ['one', 'two']) await writeGeneration(volume, files(word), 'everyone', 'removed')
  })

  test('removes whatever others made in a generation, and those that are none', async () => {
    for (const subPath of ['..1/a/b', '..2/tls', '..3/x', '..4']) await mkdir(join(path, subPath), { recursive: true })
    const keys = await openKeys()
    await wipe(volume)
    expect(await readdir(path)).toEqual([])
    for (const key of keys) {
      expect((await key.readFile()).equals(Buffer.alloc(3))).toBe(true)
      await key.close()
    }
  })

  test.for(['blank', 'child', 'removeChild'] as const)(
    'goes on where %s fails, and says so at the end',
    async (what) => {
      const keys = await openKeys()
      const spy = vi.spyOn(Directory.prototype, what).mockRejectedValueOnce(new Error('the first fails'))
      await expect(wipe(volume)).rejects.toThrow('the first fails')
      spy.mockRestore()
      const left = await Promise.all(keys.map((key) => key.readFile('utf8')))
      // What could not be blanked is removed all the same.
      expect(left.at(-1)).toBe('\0\0\0')
      expect((await readdir(path)).filter((name) => name !== '..1')).toEqual([])
      for (const key of keys) await key.close()
    },
  )
})

test('none of this takes root: nobody writes, replaces and wipes what is its own', async () => {
  const nobody = 65_534
  const isRoot = process.geteuid?.() === 0
  if (isRoot) {
    await chown(path, nobody, nobody)
    process.setegid?.(nobody)
    process.seteuid?.(nobody)
  }
  try {
    for (const name of ['one', 'two', 'three']) await writeGeneration(volume, files(name), 'owner', 'removed')
    await wipe(volume)
  } finally {
    if (isRoot) {
      process.seteuid?.(0)
      process.setegid?.(0)
    }
  }
  expect(await readdir(path)).toEqual([])
})
