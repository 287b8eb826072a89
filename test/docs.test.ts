import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { generatedDocuments } from '../docs/generated-documents.ts'

const documents = await generatedDocuments()

test.for(Object.keys(documents))('docs/%s is what the code says (npm run generate)', (name) => {
  expect(readFileSync(`docs/${name}`, 'utf8')).toBe(documents[name])
})

test('CI runs the very commands that the README gives', () => {
  const readme = readFileSync('README.md', 'utf8')
  const ci = readFileSync('.ci/run', 'utf8')
  for (const heading of ['Set-up', 'Tests']) {
    const command = new RegExp(`## ${heading}\\n[^#]*?\`\`\`sh\\n(.+)\\n`).exec(readme)?.[1]
    expect(command, `README has no command under ${heading}`).toBeDefined()
    expect(ci).toContain(`step ${command}\n`)
  }
})

test('the README installs as the documents for users do', () => {
  const installs = (file: string) =>
    readFileSync(file, 'utf8')
      .match(/^helm install .+$/gm)
      ?.map(withoutWait) ?? []
  const withoutWait = (line: string) => line.replace(/ --wait$/, '')
  const [install] = installs('docs/getting-started.md')
  expect(install).toBeDefined()
  expect([...installs('README.md'), ...installs('docs/operations.md')]).toEqual([install, install])
})
