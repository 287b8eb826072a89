import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readTemplateFiles } from './template-files.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'

const RULES = {
  trustDomain: TrustDomain.parse('prod.example'),
  minTtlMs: 300_000,
  maxTtlMs: 86_400_000,
  knowsLabels: false,
}
const yaml = (ttl: string, comment = '') =>
  `apiVersion: countersign.dev/v1alpha1\nkind: IdentityTemplate\nmetadata: { name: a }\nspec: { ttl: ${ttl} }\n#${comment}\n`

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'templates-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const write = (text: string | Buffer) => writeFileSync(join(directory, 'a.yaml'), text)

test.for([
  { name: 'that is no YAML', text: '{a: '.repeat(10) },
  { name: 'that asks for what the broker does not give', text: yaml('1s') },
])('a broken file $name is not looked into again until it changes, and its problems stay', async ({ text }) => {
  write(text)
  const first = await readTemplateFiles(directory, RULES)
  const second = await readTemplateFiles(directory, RULES, first.files)
  expect(first.problems.length).toBeGreaterThan(0)
  expect(second.problems).toEqual(first.problems)
  // The very same ones: had it been parsed, they would have been made anew.
  for (const [index, problem] of second.problems.entries()) expect(problem).toBe(first.problems[index])

  write(yaml('30m'))
  const mended = await readTemplateFiles(directory, RULES, second.files)
  expect(mended).toMatchObject({ problems: [], templates: [{ name: 'a', ttlMs: 1_800_000 }] })
})

test('while a file is broken in one way and then another, what was good stays, and only the newest problems are told', async () => {
  write(yaml('30m'))
  let read = await readTemplateFiles(directory, RULES)
  for (const [text, path] of [
    [yaml('1s'), 'a.yaml: spec.ttl'],
    ['kind: x', 'a.yaml: apiVersion'],
    [yaml('2s'), 'a.yaml: spec.ttl'],
  ] as const) {
    write(text)
    const before = read
    read = await readTemplateFiles(directory, RULES, before.files)
    expect(read.problems[0]?.path).toBe(path)
    expect(read.templates[0]).toBe(before.templates[0])
  }
  write(yaml('30m'))
  expect((await readTemplateFiles(directory, RULES, read.files)).problems).toEqual([])
})

test('a file that cannot be read keeps what was good and what was wrong, for when it can be again', async () => {
  write(yaml('1s'))
  const broken = await readTemplateFiles(directory, RULES)
  const away = await readTemplateFiles(`${directory}-elsewhere`, RULES, broken.files)
  expect(away.problems).toEqual([{ path: 'templates.directory', message: 'cannot be read: ENOENT' }])
  const back = await readTemplateFiles(directory, RULES, away.files)
  expect(back.problems[0]).toBe(broken.problems[0])
})

test.for([
  { name: 'letters', letter: 'a' },
  { name: 'letters of three bytes', letter: '€' },
])('a file of 128 KiB is read, and one that is larger is not: $name', async ({ letter }) => {
  const most = 128 * 1024 - Buffer.byteLength(yaml('30m'))
  const comment = letter.repeat(Math.floor(most / Buffer.byteLength(letter)))
  write(yaml('30m', comment))
  expect(await readTemplateFiles(directory, RULES)).toMatchObject({ problems: [], templates: [{ name: 'a' }] })
  write(yaml('30m', comment + letter))
  expect((await readTemplateFiles(directory, RULES)).problems).toEqual([
    {
      path: 'a.yaml',
      message: 'is larger than 128 KiB, which is more than a template needs; select by labels instead',
    },
  ])
})

test('a template of two thousand ServiceAccounts is small enough', async () => {
  const accounts = Array.from({ length: 2000 }, (_, index) => `  - team-payments-production/payment-gateway-${index}`)
  write(`${yaml('30m').replace('{ ttl: 30m }', '\n  serviceAccounts:')}${accounts.join('\n')}\n`)
  expect((await readTemplateFiles(directory, RULES)).problems).toEqual([])
})
