import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROGRAMS } from '../deploy/image/programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-bundle-'))
const BUNDLE = join(import.meta.dirname, '..', 'deploy', 'image', 'bundle.ts')

beforeAll(() => {
  // It was filled before, by another version.
  mkdirSync(join(folder, 'bin'))
  symlinkSync('../gone.js', join(folder, 'bin', 'agent'))
  writeFileSync(join(folder, 'chunk-of-before.js'), 'old')
  execFileSync(process.execPath, [BUNDLE, folder], { stdio: 'pipe' })
}, 60_000)

afterAll(() => rmSync(folder, { recursive: true }))

test('every program of the image is there by its name, and starts', () => {
  for (const name of Object.keys(PROGRAMS)) {
    const { stderr } = run(name, ['--no-such-flag'])
    expect(stderr).toContain('--no-such-flag')
  }
})

test('of what the folder held before, no code stays', () => {
  expect(existsSync(join(folder, 'chunk-of-before.js'))).toBe(false)
})

test('all code is ASCII, of which V8 keeps one octet a character', () => {
  const files = globSync('*.js', { cwd: folder })
  expect(files.length).toBeGreaterThan(3)
  // oxlint-disable-next-line no-control-regex
  const others = files.filter((file) => !/^[\0-\x7f]*$/.test(readFileSync(join(folder, file), 'utf8')))
  expect(others).toEqual([])
})

function run(name: string, args: readonly string[]): { stderr: string } {
  try {
    execFileSync(process.execPath, [join(folder, 'bin', name), ...args], { stdio: 'pipe', timeout: 30_000 })
    return { stderr: '' }
  } catch (error) {
    return { stderr: String((error as { stderr?: Buffer }).stderr) }
  }
}
