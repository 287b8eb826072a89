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
import { Directory, errnoOf, handOver } from './directory.ts'
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
  await writeGeneration(volume, files('one'), 'everyone')
  const opened = await Directory.open(join(path, '..data'))
  await writeGeneration(volume, files('two'), 'everyone')
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
  await writeGeneration(volume, files('three'), 'everyone')
  expect((await readdir(path)).filter((name) => /^\.\.\d/.test(name)).toSorted()).toEqual(['..2', '..3'])
  await opened.close()
})

test('a file whose name begins with two dots, as a trust domain may, is written again and goes like any other', async () => {
  const name = '..partner.example.spiffe-trust-bundle.pem'
  for (const word of ['one', 'two', 'three']) {
    await writeGeneration(volume, files(word, name), 'everyone')
    expect(await text(name)).toBe(word)
  }
  await writeGeneration(volume, files('four'), 'everyone')
  expect(await readdir(path)).not.toContain(name)
})

test('a reader in a loop never sees a key beside another certificate, through 1,000 generations', async () => {
  await writeGeneration(volume, files('0'), 'everyone')
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
  for (let count = 1; count <= 1000; count += 1) await writeGeneration(volume, files(`${count}`), 'everyone')
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
    await writeGeneration(volume, files('x'), 'everyone')
    expect(await modeOf('tls.key')).toEqual([0o444, own])
    expect(await modeOf('.')).toEqual([0o755, own])
  })

  test('for the owner alone, nobody else reads what holds a key', async () => {
    await writeGeneration(volume, files('x'), 'owner')
    expect(await modeOf('tls.key')).toEqual([0o400, own])
    expect(await modeOf('credential-bundle.pem')).toEqual([0o400, own])
    expect(await modeOf('tls.crt')).toEqual([0o444, own])
  })

  test('with fsGroup only its group reads what holds a key', async () => {
    await writeGeneration(volume, files('x'), own)
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

describe('planted links and folders are refused, and lead nowhere', () => {
  const planted: [string, (outside: string) => Promise<void>][] = [
    ['a ..data that leads out', (outside) => symlink(outside, join(path, '..data'))],
    ['a folder as ..data', () => mkdir(join(path, '..data'))],
    ['a folder as ..data_next', () => mkdir(join(path, '..data_next'))],
    ['the next generation as a link', (outside) => symlink(outside, join(path, '..1'))],
    [
      'the next generation with a folder inside',
      () => mkdir(join(path, '..1', 'x'), { recursive: true }).then(() => {}),
    ],
    ['tls.key as a link that leads out', (outside) => symlink(join(outside, 'file'), join(path, 'tls.key'))],
    ['tls.key as a file', () => writeFile(join(path, 'tls.key'), 'x')],
  ]
  test.for(planted)('%s', async ([, plant]) => {
    const outside = await mkdtemp(join(tmpdir(), 'outside-'))
    await writeFile(join(outside, 'file'), 'theirs')
    await plant(outside)
    await expect(writeGeneration(volume, files('x'), 'everyone')).rejects.toMatchObject({ code: 'volume_tampered' })
    expect(await readdir(outside)).toEqual(['file'])
    expect(await readFile(join(outside, 'file'), 'utf8')).toBe('theirs')
    await rm(outside, { recursive: true })
  })

  test('a link as ..data_next is only removed', async () => {
    await symlink('/etc', join(path, '..data_next'))
    await writeGeneration(volume, files('x'), 'everyone')
    expect(await readlink(join(path, '..data'))).toBe('..1')
  })
})

test('what a crash left half written goes at the next write', async () => {
  await writeGeneration(volume, files('one'), 'everyone')
  await mkdir(join(path, '..2'))
  await writeFile(join(path, '..2', 'tls.key'), 'half')
  await writeGeneration(volume, files('two'), 'everyone')
  expect(await text('tls.key')).toBe('two')
})

test('a write that fails leaves the generation before in force', async () => {
  await writeGeneration(volume, files('one'), 'everyone')
  await expect(writeGeneration(volume, files('two', 'n'.repeat(256)), 'everyone')).rejects.toThrow('ENAMETOOLONG')
  expect(await text('tls.key')).toBe('one')
  expect(await readdir(path)).not.toContain('..2')
})

test('a generation that another agent is writing at the same time stays', async () => {
  await writeGeneration(volume, files('one'), 'everyone')
  const makeChild = vi.spyOn(Directory.prototype, 'makeChild').mockImplementationOnce(async (name) => {
    await mkdir(join(path, name))
    await writeFile(join(path, name, 'tls.key'), 'theirs')
    makeChild.mockRestore()
    return volume.makeChild(name)
  })
  await expect(writeGeneration(volume, files('two'), 'everyone')).rejects.toMatchObject({ code: 'EEXIST' })
  expect(await text('..2/tls.key')).toBe('theirs')
  expect(await text('tls.key')).toBe('one')
})

test('FS-06: the file of a trust domain that is no longer federated with goes', async () => {
  await writeGeneration(volume, files('one', 'partner.example.spiffe-trust-bundle.pem'), 'everyone')
  expect(await text('partner.example.spiffe-trust-bundle.pem')).toBe('one')
  await writeGeneration(volume, files('two'), 'everyone')
  expect(await readdir(path)).not.toContain('partner.example.spiffe-trust-bundle.pem')
})

test('wipe blanks every file, removes what is ours and leaves the rest', async () => {
  await writeGeneration(volume, files('one'), 'everyone')
  await writeFile(join(path, 'theirs'), 'x')
  const file = await open(join(path, '..1', 'tls.key'))
  await wipe(volume)
  expect(await readdir(path)).toEqual(['theirs'])
  expect((await file.readFile()).equals(Buffer.alloc(3))).toBe(true)
  await file.close()
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
    for (const name of ['one', 'two', 'three']) await writeGeneration(volume, files(name), 'owner')
    await wipe(volume)
  } finally {
    if (isRoot) {
      process.seteuid?.(0)
      process.setegid?.(0)
    }
  }
  expect(await readdir(path)).toEqual([])
})
