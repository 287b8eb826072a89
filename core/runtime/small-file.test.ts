import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readSmallFile } from './small-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'small-file-'))
const path = (name: string) => join(directory, name)

test('reads a file through a link, and no more of it than one byte beyond the bound', async () => {
  writeFileSync(path('file'), 'äbc')
  symlinkSync('file', path('link'))
  expect(await readSmallFile(path('link'), 10)).toBe('äbc')
  expect(await readSmallFile(path('link'), 2)).toBe('äb')
})

test('without links, a path that leads through one is refused, wherever it is', async () => {
  mkdirSync(path('folder'))
  writeFileSync(path('folder/file'), 'abc')
  symlinkSync('folder', path('linked'))
  symlinkSync('folder/file', path('last'))
  expect(await readSmallFile(path('folder/file'), 10, 'none')).toBe('abc')
  await expect(readSmallFile(path('linked/file'), 10, 'none')).rejects.toMatchObject({ code: 'moved by a link' })
  await expect(readSmallFile(path('last'), 10, 'none')).rejects.toMatchObject({ code: 'ELOOP' })
})

test.for([
  { name: 'a pipe', make: (at: string) => execFileSync('mkfifo', [at]), code: 'not a file' },
  { name: 'a device', make: (at: string) => symlinkSync('/dev/zero', at), code: 'not a file' },
  { name: 'a folder', make: (at: string) => symlinkSync('/', at), code: 'not a file' },
  { name: 'nothing', make: () => {}, code: 'ENOENT' },
])('refuses $name at once', async ({ name, make, code }) => {
  make(path(name))
  await expect(readSmallFile(path(name), 10)).rejects.toMatchObject({ code })
})
