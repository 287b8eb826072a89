import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { duration, parseConfig, readConfigFile } from './config.ts'

const schema = z.strictObject({ name: z.string(), ttl: duration, nested: z.strictObject({ port: z.int() }).optional() })

test('reads YAML into the parsed type', () => {
  expect(parseConfig('name: a\nttl: 5m\n', schema, 'x.yaml')).toEqual({ name: 'a', ttl: 300_000 })
})

test('lists every problem with its path, and all of them together', () => {
  const text = 'name: 5\nttl: 5\nnested: { port: x, extra: 1 }\nunknown: 1\n'
  expect(() => parseConfig(text, schema, 'x.yaml')).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      message: expect.stringMatching(
        /^x\.yaml:\n(?=.*name:)(?=.*ttl:)(?=.*nested\.port:)(?=.*nested: .*"extra")(?=.*"unknown")/s,
      ),
    }),
  )
})

test.for([
  { name: 'a duration without a unit', text: 'name: a\nttl: "5"', says: 'ttl: ' },
  { name: 'a key that stands twice', text: 'name: a\nname: b\nttl: 5m', says: 'unique' },
  { name: 'broken YAML', text: 'name: [', says: 'x.yaml:\n' },
  { name: 'aliases that multiply', text: `a: &a [1]\n${bomb()}`, says: 'x.yaml:\n' },
  { name: 'a tag that nobody knows', text: 'name: !!js/function a\nttl: 5m', says: 'Unresolved tag' },
  { name: 'a key that is no text', text: '{ a: b }: 1\nname: a\nttl: 5m', says: 'x.yaml:\n' },
  {
    name: 'a key that stands twice further in',
    text: 'name: a\nttl: 5m\nnested: { port: 1, port: 2 }',
    says: 'unique',
  },
  { name: 'two documents', text: 'name: a\nttl: 5m\n---\nname: b\n', says: 'multiple documents' },
  { name: 'what is nested deeply', text: `name: ${'['.repeat(200)}${']'.repeat(200)}`, says: 'nested deeper than 100' },
  { name: 'blocks nested deeply', text: '- '.repeat(200), says: 'nested deeper than 100' },
  { name: 'an empty file', text: '', says: 'x.yaml:\n  is empty' },
  { name: 'what is missing', text: 'ttl: 5m', says: 'x.yaml:\n  name: is required' },
  {
    name: 'a text where a section is wanted',
    text: 'name: a\nttl: 5m\nnested: x',
    says: '\n  nested: expected object',
  },
  { name: 'another type', text: 'name: 5\nttl: 5m', says: '\n  name: expected string, received number' },
  { name: 'a number as a duration', text: 'name: a\nttl: 90', says: '\n  ttl: write a duration such as 90s' },
  { name: 'a duration that is missing', text: 'name: a', says: '\n  ttl: is required' },
])('refuses $name', ({ text, says }) => {
  expect(() => parseConfig(text, schema, 'x.yaml')).toThrow(
    expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining(says) }),
  )
})

test('says where YAML is broken', () => {
  expect(() => parseConfig('name: a\n  ttl: }', schema, 'x.yaml')).toThrow(/: "}" at line 2, column 8$/)
})

/** The "billion laughs": each line refers ten times to the one before. */
function bomb(): string {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  return names
    .slice(1)
    .map((name, index) => `${name}: &${name} [${Array(10).fill(`*${names[index]}`).join(', ')}]`)
    .join('\n')
}

test('says that a file cannot be read, and why', () => {
  expect(() => readConfigFile('/nonexistent/x.yaml', schema)).toThrow(
    expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining('ENOENT') }),
  )
  const directory = mkdtempSync(join(tmpdir(), 'config-'))
  writeFileSync(join(directory, 'good.yaml'), 'name: a\nttl: 1s\n')
  expect(readConfigFile(join(directory, 'good.yaml'), schema).ttl).toBe(1000)
})
