import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { Clock } from '../../core/runtime/clock.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import type { Problem } from '../../core/runtime/config.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { TemplateDirectory } from './template-directory.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'

const yaml = (name: string, ttl = '30m') =>
  `apiVersion: countersign.dev/v1alpha1\nkind: IdentityTemplate\nmetadata: { name: ${name} }\nspec: { ttl: ${ttl} }\n`

const RULES = {
  trustDomain: TrustDomain.parse('prod.example'),
  minTtlMs: 300_000,
  maxTtlMs: 86_400_000,
  knowsLabels: false,
}

let root: string
let opened: TemplateDirectory | undefined
afterEach(async () => {
  await opened?.close()
  opened = undefined
  rmSync(root, { recursive: true })
})

function newDirectory(files: Readonly<Record<string, string | undefined>>) {
  root = mkdtempSync(join(tmpdir(), 'templates-'))
  const directory = join(root, 'templates')
  mkdirSync(directory)
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text)
  for (const [name, text] of Object.entries(files)) write(name, text ?? '')
  return { directory, write }
}

async function open(directory: string, clock: Clock = systemClock) {
  const reported: (readonly Problem[])[] = []
  const source = await TemplateDirectory.open({
    directory,
    rules: RULES,
    clock,
    onProblems: (problems) => reported.push(problems),
  })
  opened = source
  const names = () => source.current().map(({ name, ttlMs }) => `${name} ${(ttlMs ?? 0) / 60_000}`)
  return { source, reported, names }
}

test('reads YAML and JSON files, and nothing else', async () => {
  const { directory } = newDirectory({ 'a.yaml': yaml('a'), 'b.yml': yaml('b'), 'README.md': 'x', '.c.yaml': 'x' })
  expect((await open(directory)).names()).toEqual(['a 30', 'b 30'])
})

test('follows changes, new files and removals', async () => {
  const { directory, write } = newDirectory({ 'a.yaml': yaml('a') })
  const { names } = await open(directory)
  write('a.yaml', yaml('a', '10m'))
  await expect.poll(names).toEqual(['a 10'])
  write('b.yaml', yaml('b'))
  await expect.poll(names).toEqual(['a 10', 'b 30'])
  rmSync(join(directory, 'a.yaml'))
  await expect.poll(names).toEqual(['b 30'])
})

test('follows a ConfigMap, whose files change all at once by a link', async () => {
  const { directory } = newDirectory({})
  const generation = (name: string, text: string) => {
    mkdirSync(join(directory, name))
    writeFileSync(join(directory, name, 'a.yaml'), text)
    symlinkSync(name, join(directory, '..data_tmp'))
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
  }
  generation('..1', yaml('a'))
  symlinkSync('..data/a.yaml', join(directory, 'a.yaml'))
  const { names } = await open(directory)
  expect(names()).toEqual(['a 30'])
  generation('..2', yaml('a', '10m'))
  await expect.poll(names).toEqual(['a 10'])
})

test('what was good stays while its file is broken, and the problem is told once', async () => {
  const { directory, write } = newDirectory({ 'a.yaml': yaml('a'), 'b.yaml': yaml('b') })
  const { names, reported, source } = await open(directory)
  write('a.yaml', 'spec: [')
  await expect.poll(() => reported.length).toBe(1)
  write('b.yaml', yaml('b', '10m'))
  await expect.poll(names).toEqual(['a 30', 'b 10'])
  expect(reported).toHaveLength(1)
  expect(source.problems.map(({ path }) => path)).toContain('a.yaml')
  write('a.yaml', yaml('a', '20m'))
  await expect.poll(names).toEqual(['a 20', 'b 10'])
  expect(reported.at(-1)).toEqual([])
})

test('what was good stays while its file asks for what the broker does not give', async () => {
  const { directory, write } = newDirectory({ 'a.yaml': yaml('a') })
  const { names, source } = await open(directory)
  write('a.yaml', yaml('a', '1s'))
  await expect.poll(() => source.problems.map(({ path }) => path)).toEqual(['a.yaml: spec.ttl'])
  expect(names()).toEqual(['a 30'])
})

test('a new file that is broken does not count, and a name that is taken stays with the first', async () => {
  const { directory, write } = newDirectory({ 'a.yaml': yaml('a') })
  const { names, source } = await open(directory)
  write('c.yaml', yaml('a', '10m'))
  await expect.poll(() => source.problems.map(({ path }) => path)).toEqual(['c.yaml: metadata.name'])
  expect(names()).toEqual(['a 30'])
})

test('a directory that is gone leaves all in force, and is found again by the timer', async () => {
  const { directory } = newDirectory({ 'a.yaml': yaml('a') })
  const clock = new FakeClock()
  const { names, source } = await open(directory, clock)
  renameSync(directory, `${directory}-elsewhere`)
  await expect.poll(() => source.problems.map(({ message }) => message)).toEqual(['cannot be read: ENOENT'])
  expect(names()).toEqual(['a 30'])
  mkdirSync(directory)
  writeFileSync(join(directory, 'a.yaml'), yaml('a', '10m'))
  await expect
    .poll(async () => {
      await clock.advance(15_000)
      return names()
    })
    .toEqual(['a 10'])
})

test.for([
  { name: 'a broken file', files: { 'a.yaml': yaml('a'), 'b.yaml': 'kind: x' }, says: 'b.yaml' },
  { name: 'a name that stands twice', files: { 'a.yaml': yaml('a'), 'b.yaml': yaml('a') }, says: "'a' is taken" },
  {
    name: 'a ttl that the broker does not give',
    files: { 'a.yaml': yaml('a', '25h') },
    says: 'a.yaml: spec.ttl: 1d1h is not within issuance.minTtl 5m and issuance.maxTtl 1d',
  },
  { name: 'a file that is too large', files: { 'a.yaml': '#'.repeat(128 * 1024 + 1) }, says: 'larger' },
])('does not start with $name', async ({ files, says }) => {
  const { directory } = newDirectory(files)
  await expect(open(directory)).rejects.toMatchObject({
    code: 'object_invalid',
    message: expect.stringContaining(says),
  })
})

test('does not start without its directory: no templates would mean the built-in one for everybody', async () => {
  const { directory } = newDirectory({})
  await expect(open(join(directory, 'nonexistent'))).rejects.toMatchObject({
    code: 'object_invalid',
    message: expect.stringContaining('nonexistent:\n  templates.directory: cannot be read: ENOENT'),
  })
})

test('what is no file, or has no end, is a problem and holds nothing up', async () => {
  const clock = new FakeClock()
  const { directory, write } = newDirectory({ 'a.yaml': yaml('a') })
  const { source, names } = await open(directory, clock)
  execFileSync('mkfifo', [join(directory, 'pipe.yaml')])
  symlinkSync('/dev/zero', join(directory, 'zero.yaml'))
  write('b.yaml', yaml('b'))
  await expect.poll(() => clock.advance(15_000).then(names)).toEqual(['a 30', 'b 30'])
  expect(source.problems.map(({ path, message }) => `${path} ${message}`)).toEqual([
    'pipe.yaml cannot be read: not a file',
    'zero.yaml cannot be read: not a file',
  ])
})
