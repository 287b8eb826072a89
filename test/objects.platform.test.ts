import { globSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster } from './cluster/cluster.ts'
import { installDefinitions } from './cluster-suites/custom-resources.ts'
import { BAD, GOOD } from './identity-template-cases.ts'

const TEMPLATES = '/apis/countersign.dev/v1alpha1/identitytemplates'
let cluster: Cluster
let removeDefinitions: () => Promise<void> = () => Promise.resolve()

beforeAll(async () => {
  cluster = await attachCluster()
  removeDefinitions = await installDefinitions(cluster)
})
afterAll(() => removeDefinitions())

const template = (spec: unknown) => ({
  apiVersion: 'countersign.dev/v1alpha1',
  kind: 'IdentityTemplate',
  metadata: { name: 'tried' },
  spec,
})

/** What the API server would do with an object. */
async function tryOut(object: unknown): Promise<{ status: number; message: string; causes: readonly Cause[] }> {
  const { status, body } = await cluster.request('POST', `${TEMPLATES}?dryRun=All&fieldValidation=Strict`, object)
  const { message = '', details } = JSON.parse(body) as { message?: string; details?: { causes?: readonly Cause[] } }
  return { status, message, causes: details?.causes ?? [] }
}

interface Cause {
  readonly field: string
  readonly message: string
}

describe('the API server', () => {
  test.for(Object.keys(GOOD))('takes %s', async (name) => {
    expect(await tryOut(template(GOOD[name]))).toMatchObject({ status: 201 })
  })

  test.for(BAD)('refuses $name', async ({ spec, says, field }) => {
    const { status, message, causes } = await tryOut(template(spec))
    expect({ status, message }).toMatchObject({ status: 422, message: expect.stringContaining(says) as unknown })
    expect(causes.filter((cause) => cause.message.includes(says)).map((cause) => cause.field)).toContain(field)
  })

  test('refuses a field that there is not, where it is asked to be strict', async () => {
    const { status, message } = await tryOut(template({ ttls: '5m' }))
    expect({ status, message }).toEqual({ status: 400, message: expect.stringContaining('unknown field "spec.ttls"') })
  })

  test('fills in what the fields default to', async () => {
    const { body } = await cluster.request('POST', `${TEMPLATES}?dryRun=All`, template({}))
    expect(JSON.parse(body)).toMatchObject({
      metadata: { generation: 1 },
      spec: {
        spiffeId: 'spiffe://{{ trustDomain }}/ns/{{ namespace }}/sa/{{ serviceAccount }}',
        keyType: 'ec-p256',
      },
    })
  })

  test('knows the short name, the category and the columns', async () => {
    await cluster.apply({ ...template({ ttl: '30m' }), metadata: { name: 'shown' } })
    const [byShortName, byCategory] = await Promise.all([
      cluster.kubectl(['get', 'idt', 'shown', '-o', 'wide']),
      cluster.kubectl(['get', 'countersign']),
    ])
    expect(byShortName).toMatch(/^NAME +SPIFFE ID +READY +REASON +PODS +TTL +KEY +MESSAGE +AGE\n/)
    expect(byShortName).toContain('30m')
    expect(byCategory).toContain('shown')
    expect(await cluster.kubectl(['explain', 'idt.spec.spiffeId'])).toMatch(/The ID, filled from facts/)
    await cluster.kubectl(['delete', 'idt', 'shown'])
  })
})

/** YAML of a file, or of the blocks of a page that hold our objects. */
function examplesOf(file: string): readonly string[] {
  const text = readFileSync(file, 'utf8')
  if (!file.endsWith('.md')) return [text]
  return Array.from(text.matchAll(/```yaml\n(.*?)```/gs), ([, block]) => block ?? '').filter((block) =>
    block.includes('countersign.dev/v1alpha1'),
  )
}

const EXAMPLES = [
  ...globSync('deploy/examples/objects/good/*.yaml'),
  ...globSync(['docs/**/*.md', 'README.md']).filter((file) => examplesOf(file).length > 0),
].toSorted()

describe('examples', () => {
  test('there are some', () => expect(EXAMPLES.length).toBeGreaterThanOrEqual(5))

  test.for(EXAMPLES)('%s applies', async (file) => {
    for (const yaml of examplesOf(file)) {
      const args = ['apply', '--dry-run=server', '--validate=strict', '-f', '-']
      const count = parseAllDocuments(yaml).length
      const said = await cluster.kubectl(args, yaml)
      expect(said.trim().split('\n')).toHaveLength(count)
    }
  })

  test.for(globSync('deploy/examples/objects/bad/*.yaml').toSorted())('%s is refused as it says', async (file) => {
    const yaml = readFileSync(file, 'utf8')
    const promised = /^# Refused: (.+)$/m.exec(yaml)?.[1]
    const { code, stderr } = await cluster.tryKubectl(
      ['apply', '--dry-run=server', '--validate=strict', '-f', '-'],
      yaml,
    )
    expect(code).not.toBe(0)
    expect(stderr).toContain(promised)
  })
})
