import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Block, ProcessRecipe } from './recipes/process-recipe.ts'

const BROKER = 'broker/main.ts'
const AGENT = 'agent/main.ts'
const operations = readFileSync('docs/operations.md', 'utf8')

let recipe: ProcessRecipe
beforeEach(async () => {
  recipe = await ProcessRecipe.make()
})
afterEach(() => recipe.end())

test('a back-up is made under a running broker, can be read, and restores it', { timeout: 90_000 }, async () => {
  await setUp()
  const before = await authorityOf('cart')
  let printed = ''
  for (const block of processBlocks('Back-up')) printed += await recipe.follow(block)
  expect(printed).toMatch(/^ok\n[1-9]\d*\n[1-9]\d*\n$/)
  await declare('later')

  for (const block of processBlocks('Restore')) await recipe.follow(block)
  await expect.poll(() => recipe.said(AGENT).match(/connected to the broker/g)?.length, { timeout: 20_000 }).toBe(2)
  await declare('after')
  expect(await authorityOf('after')).toBe(before)

  for (const block of processBlocks('Read the audit records')) {
    const records = await recipe.follow(block)
    expect(records).toContain('"event":"issuance_intended"')
    expect(records).toContain('|spiffe://demo.example/ns/shop/sa/cart|node-a\n')
  }
})

test(
  'a restored ledger that is behind the agents leads them on: to a bundle that is newer than all before',
  { timeout: 120_000 },
  async () => {
    await setUp(FAST_ROTATION)
    const [backUp] = processBlocks('Back-up')
    await recipe.follow(backUp)
    const behind = bundleSequence()
    await expect.poll(bundleSequence, { timeout: 30_000 }).toBeGreaterThan(behind)
    const held = bundleSequence()
    await expect.poll(() => recipe.said(AGENT), { timeout: 20_000 }).toContain(`"sequence":"${held}"`)

    for (const block of processBlocks('Restore')) await recipe.follow(block)
    await expect.poll(bundleSequence, { timeout: 30_000 }).toBeGreaterThan(held)
    const next = bundleSequence()
    await expect.poll(() => recipe.said(AGENT), { timeout: 30_000 }).toContain(`"sequence":"${next}"`)
    await declare('after')
    expect(await authorityOf('after')).toBeDefined()
  },
)

test(
  'a wrapping key that is lost keeps the ledger closed; a new beginning is learnt from the bundle file',
  { timeout: 120_000 },
  async () => {
    await setUp()
    const before = await authorityOf('cart')
    const [anew] = processBlocks('The wrapping key is lost')
    await recipe.stop(BROKER)
    recipe.run('mv ~/countersign/wrapping.key ~/gone')
    const { exitCode, said } = await recipe.startInVain(BROKER)
    expect(exitCode).toBe(1)
    expect(said).toContain('"code":"key_store_locked"')

    recipe.run('touch ~/countersign/wrapping.key')
    await recipe.follow({ ...anew, text: anew.text.replace('# stop the broker\n', '') })
    await anotherThan(before)
    expect(recipe.run('sqlite3 -readonly ~/ledger.unproven "select count(*) from audit"')).toMatch(/^[1-9]/)
  },
)

test('a ledger that is lost is begun anew, and every SVID replaced', { timeout: 90_000 }, async () => {
  await setUp()
  const before = await authorityOf('cart')
  for (const block of processBlocks('The ledger is lost')) await recipe.follow(block)
  await anotherThan(before)
  expect(recipe.said(AGENT)).toMatch(/chain_untrusted|agent_certificate_invalid/)
  recipe.run(`openssl verify -CAfile ${recipe.output}/cart/ca.crt ${recipe.output}/cart/tls.crt`)
})

test('the alerts are those of the chart', () => {
  const { groups } = parse(readFileSync('deploy/chart/files/alerts.yaml', 'utf8')) as {
    groups: readonly { rules: readonly { alert: string }[] }[]
  }
  const installed = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert))
  const documented = Array.from(operations.matchAll(/^\| `(Countersign\w+)`/gm), ([, name]) => name)
  expect(documented).toEqual(installed)
})

/** So that authorities follow each other within a test. */
const FAST_ROTATION = `issuance: { minTtl: 4s, maxTtl: 6s, defaultTtl: 6s, agentTtl: 6s }
authority: { wrappingKeyFile: HOME/countersign/wrapping.key, lifetime: 20s, activationLeastDelay: 1s }
`

/** docs/without-kubernetes.md up to an identity. */
async function setUp(brokerSettings?: string): Promise<void> {
  const blocks = recipe.blocksOf('docs/without-kubernetes.md')
  for (const block of blocks.filter(({ kind }) => kind === 'yaml').slice(0, -1)) recipe.write(block)
  // Declarations are found sooner, for the test's sake.
  change('agent.yaml', /^ {2}output: .*\n/m, (line) => `${line}  reread: 500ms\n`)
  if (brokerSettings !== undefined)
    change('broker.yaml', /^authority: .*\n/m, () => brokerSettings.replace('HOME', recipe.home))
  for (const { kind, text } of blocks.filter((block) => block.kind === 'sh')) {
    await recipe.follow({ kind, text: text.replace(/^openssl .*$/m, '').trim() })
  }
  await authorityOf('cart')
}

function change(name: string, line: RegExp, to: (line: string) => string): void {
  const file = join(recipe.home, 'countersign', name)
  writeFileSync(file, readFileSync(file, 'utf8').replace(line, to))
}

/** The commands for processes below a heading of docs/operations.md. */
function processBlocks(heading: string): readonly [Block, ...Block[]] {
  const section = operations.split(/^##+ /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  const texts = Array.from(section.matchAll(/^```sh process\n([\s\S]*?)^```$/gm), ([, text = '']) => text)
  const [first, ...more] = texts.map((text) => ({ kind: 'sh process', text }))
  if (!first) throw new Error(`there are no commands for processes below ${heading}`)
  return [first, ...more]
}

/** The pod of `cart` under another name: it has one at a time. */
async function declare(name: string): Promise<void> {
  const declaration = `name: ${name}\ntokenFile: ${recipe.home}/countersign/tokens/cart.jwt\n`
  writeFileSync(join(recipe.home, 'countersign/workloads', 'cart.yaml'), declaration)
  await authorityOf(name)
}

/** Waits until the workload has an SVID of another authority; the new bundle is there a moment before it. */
async function anotherThan(authority: string | undefined): Promise<void> {
  await expect.poll(() => authorityOf('cart'), { timeout: 30_000 }).not.toBe(authority)
  await expect.poll(() => authorityOf('cart'), { timeout: 30_000 }).toBeDefined()
}

/** The authority that signed what a workload holds now, if the workload trusts it. */
async function authorityOf(name: string): Promise<string | undefined> {
  const file = join(recipe.output, name, 'tls.crt')
  await expect.poll(() => existsSync(file), { timeout: 20_000 }).toBe(true)
  const leaf = new X509Certificate(readFileSync(file))
  const authorities = readFileSync(join(recipe.output, name, 'ca.crt'), 'utf8')
    .split(/(?=-----BEGIN)/)
    .map((pem) => new X509Certificate(pem))
  return authorities.find((authority) => leaf.checkIssued(authority))?.fingerprint256
}

/** Of the bundle that the broker has written last. */
function bundleSequence(): number {
  const { spiffe_sequence: sequence } = JSON.parse(
    readFileSync(join(recipe.home, 'countersign/bundle.json'), 'utf8'),
  ) as { spiffe_sequence: number }
  return sequence
}
