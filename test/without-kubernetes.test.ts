import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ProcessRecipe } from './recipes/process-recipe.ts'

const recipe = await ProcessRecipe.make()
afterAll(() => recipe.end())

test(
  'docs/without-kubernetes.md leads to an identity, and its template to another one',
  { timeout: 90_000 },
  async () => {
    const blocks = recipe.blocksOf('docs/without-kubernetes.md')
    const [template, ...files] = blocks.filter(({ kind }) => kind === 'yaml').toReversed()
    for (const file of files) recipe.write(file)
    for (const block of blocks.filter(({ kind }) => kind === 'sh')) {
      // Its last command looks at what the agent has written by then.
      const [look = '', ...lines] = block.text.trim().split('\n').toReversed()
      if (!look.startsWith('openssl')) await recipe.follow(block)
      else {
        await recipe.follow({ ...block, text: lines.toReversed().join('\n') })
        await expect.poll(() => existsSync(join(recipe.output, 'cart/tls.crt')), { timeout: 20_000 }).toBe(true)
        expect(recipe.run(look)).toContain('URI:spiffe://demo.example/ns/shop/sa/cart\n')
      }
    }

    // A running workload takes a template with its next renewal, a new one at once.
    if (template) recipe.write(template)
    let tries = 0
    await expect
      .poll(() => issuedTo(declareAgain(`again-${(tries += 1)}`)), { timeout: 20_000, interval: 500 })
      .toContain('URI:spiffe://demo.example/shop/cart, DNS:cart.shop.svc')
  },
)

/** Under another name: one pod has one. */
function declareAgain(name: string): string {
  const declaration = `name: ${name}\ntokenFile: ${recipe.home}/countersign/tokens/cart.jwt\n`
  writeFileSync(join(recipe.home, 'countersign/workloads', 'cart.yaml'), declaration)
  return name
}

async function issuedTo(name: string): Promise<string> {
  const file = join(recipe.output, name, 'tls.crt')
  await expect.poll(() => existsSync(file), { timeout: 10_000 }).toBe(true)
  return recipe.run(`openssl x509 -in ${file} -noout -ext subjectAltName`)
}
