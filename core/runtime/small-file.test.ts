import { execFileSync } from 'node:child_process'
import { mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
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

test.for([
  { name: 'a pipe', make: (at: string) => execFileSync('mkfifo', [at]), code: 'not a file' },
  { name: 'a device', make: (at: string) => symlinkSync('/dev/zero', at), code: 'not a file' },
  { name: 'a folder', make: (at: string) => symlinkSync('/', at), code: 'not a file' },
  { name: 'nothing', make: () => {}, code: 'ENOENT' },
])('refuses $name at once', async ({ name, make, code }) => {
  make(path(name))
  await expect(readSmallFile(path(name), 10)).rejects.toMatchObject({ code })
})
