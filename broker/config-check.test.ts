import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { brokerDocument, brokerFolder } from '../test/fakes/running-broker.ts'
import { checkFile } from './config-check.ts'

const template = (spec: object, change: object = {}) =>
  JSON.stringify({
    apiVersion: 'countersign.dev/v1alpha1',
    kind: 'IdentityTemplate',
    metadata: { name: 'web' },
    spec,
    ...change,
  })

/** A configuration whose templates are `files`. */
function world(files: Readonly<Record<string, string>>, change: Record<string, unknown> = {}) {
  const folder = brokerFolder()
  const file = join(folder.directory, 'broker.yaml')
  writeFileSync(file, JSON.stringify(brokerDocument(folder, change)))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.directory, 'templates', name), text)
  return { file, template: (name: string) => join(folder.directory, 'templates', name) }
}

test('a good configuration with good templates', async () => {
  const { file } = world({ 'web.yaml': template({ ttl: '30m' }) })
  expect(await checkFile(file)).toBe(`${file}: ok`)
})

test('one template by itself', async () => {
  const file = world({ 'web.yaml': template({}), 'bad.yaml': template({ dnsNames: ['bad name'] }) }).template
  expect(await checkFile(file('web.yaml'))).toBe(`${file('web.yaml')}: ok (IdentityTemplate)`)
  await expect(checkFile(file('bad.yaml'))).rejects.toThrow(/bad\.yaml:\n {2}spec\.dnsNames\.0: is not a DNS name/)
})

test.for<{ name: string; files: Record<string, string>; change?: Record<string, unknown>; says: string }>([
  { name: 'a template that is wrong', files: { 'a.yaml': template({ ttls: '5m' }) }, says: 'a.yaml: spec: ' },
  { name: 'a template beyond its bounds', files: { 'a.yaml': template({ ttl: '1s' }) }, says: 'a.yaml: spec.ttl: ' },
  {
    name: 'a selector that needs a cluster',
    files: { 'a.yaml': template({ podSelector: { matchLabels: { app: 'web' } } }) },
    says: 'a.yaml: spec.podSelector: needs labels',
  },
  {
    name: 'a folder of templates that is not there',
    files: {},
    change: { templates: { directory: '/nonexistent' } },
    says: 'templates.directory: cannot be read: ENOENT',
  },
  { name: 'another mistake', files: {}, change: { listen: 'x' }, says: 'listen: is not host:port' },
])('refuses $name', async ({ files, change, says }) => {
  await expect(checkFile(world(files, change).file)).rejects.toThrow(says)
})
