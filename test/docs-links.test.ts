import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const documents = globSync('{*.md,docs/**/*.md,deploy/**/*.md,test/cluster*/*.md}')

test.for(documents)('the links of %s lead somewhere', (document) => {
  const text = readFileSync(document, 'utf8').replaceAll(/```[\s\S]*?```/g, '')
  const links = Array.from(text.matchAll(/\]\((?!https?:)(?<path>[^)#\s]*)(?:#(?<anchor>[^)\s]+))?\)/g))
  const broken = links.flatMap(({ groups = {} }) => {
    const target = groups['path'] === '' ? document : join(dirname(document), groups['path'] ?? '')
    if (!existsSync(target)) return [target]
    const anchor = groups['anchor']
    return anchor === undefined || anchorsOf(target).has(anchor) ? [] : [`${target}#${anchor}`]
  })
  expect(broken).toEqual([])
})

/** The headings of a document as GitHub names them; those of the same words are numbered. */
function anchorsOf(document: string): ReadonlySet<string> {
  const anchors = new Set<string>()
  const text = readFileSync(document, 'utf8').replaceAll(/```[\s\S]*?```/g, '')
  for (const { groups } of text.matchAll(/^#+ (?<title>.+)$|<a (?:id|name)="(?<name>[^"]+)"/gm)) {
    const plain = (groups?.['name'] ?? groups?.['title'] ?? '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-')
    let anchor = plain
    for (let more = 1; anchors.has(anchor); more += 1) anchor = `${plain}-${more}`
    anchors.add(anchor)
  }
  return anchors
}
