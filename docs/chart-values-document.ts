import { readFileSync } from 'node:fs'
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml'

const INTRODUCTION = `# Values of the chart

Made from \`deploy/chart/values.yaml\` by \`npm run generate\`. Values that nobody knows, that have another form, or that contradict each other are refused by \`helm install\`, \`helm upgrade\` and \`helm template\`, with the reason.

| value | default | meaning |
| --- | --- | --- |
`

interface Row {
  readonly path: string
  readonly preset: string
  readonly meaning: string
}

/** docs/chart-values.md: every value with its default, and what the comment above it says. */
export function chartValuesDocument(): string {
  const { contents } = parseDocument(readFileSync('deploy/chart/values.yaml', 'utf8'))
  if (!isMap(contents)) throw new TypeError('values.yaml is not a map')
  const rows = rowsOf(contents, '')
  return INTRODUCTION + rows.map(({ path, preset, meaning }) => `| \`${path}\` | ${preset} | ${meaning} |\n`).join('')
}

function rowsOf(map: YAMLMap, prefix: string): Row[] {
  return map.items.flatMap((pair, index) => {
    // The parser gives the comment of the first key to the map.
    const own = commentOf(pair.key) ?? (index === 0 ? commentOf(map) : undefined)
    const path = `${prefix}${nameOf(pair)}`
    const meaning = (own ?? '').replaceAll(/\s*\n\s*/g, ' ').trim()
    if (!isMap(pair.value) || pair.value.items.length === 0 || isValueAsAWhole(path)) {
      return [{ path, preset: shown(pair.value, path), meaning }]
    }
    const rows = rowsOf(pair.value, `${path}.`)
    // What stands above a section is told once, with a row of its own.
    return meaning === '' ? rows : [{ path, preset: '', meaning }, ...rows]
  })
}

/** Objects of Kubernetes: told as one. */
function isValueAsAWhole(path: string): boolean {
  return /\.(resources|podSecurityContext|nodeSelector|affinity)$/.test(path)
}

function shown(value: unknown, path: string): string {
  if (isMap(value) && value.items.length > 0 && isValueAsAWhole(path)) return 'see values.yaml'
  return `\`${JSON.stringify(plain(value))}\``
}

function nameOf({ key }: Pair): string {
  return String(plain(key))
}

function plain(node: unknown): unknown {
  return isScalar(node) ? node.value : ((node as { toJSON(): unknown } | null)?.toJSON() ?? null)
}

function commentOf(node: unknown): string | undefined {
  return (node as { commentBefore?: string | null } | null)?.commentBefore ?? undefined
}
