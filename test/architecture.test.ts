import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'

/**
 * Which folders each folder may import besides itself. A folder that is absent may import nothing of ours. `main.ts` and
 * the composition roots (`broker/broker.ts`, `agent/agent.ts`) belong to the folder `broker` and `agent`: they wire.
 */
const CORE = ['core/runtime', 'core/pki', 'core/spiffe']
const MAY_IMPORT: Record<string, readonly string[]> = {
  'core/runtime': [],
  'core/pki': ['core/runtime'],
  'core/spiffe': ['core/runtime', 'core/pki'],
  proto: ['core/runtime'],
  // One file that its parts report into, among those that wire.
  'broker/problems': ['core/runtime'],
  'broker/attestation': CORE,
  'broker/registration': [...CORE, 'broker/attestation'],
  'broker/ca': CORE,
  'broker/ledger': CORE,
  'broker/kubernetes': [
    ...CORE,
    'broker/problems',
    'broker/attestation',
    'broker/registration',
    'broker/ca',
    'broker/admin',
  ],
  'broker/issuance': [...CORE, 'broker/attestation', 'broker/registration', 'broker/ca', 'broker/ledger'],
  'broker/sync': [...CORE, 'proto'],
  'broker/api': [...CORE, 'proto', 'broker/attestation', 'broker/issuance', 'broker/sync'],
  'broker/admin': [
    ...CORE,
    'proto',
    'broker/problems',
    'broker/attestation',
    'broker/registration',
    'broker/ca',
    'broker/ledger',
    'broker/sync',
    'broker/api',
  ],
  broker: ['core', 'proto', 'broker'],
  'agent/workloads': CORE,
  'agent/volume': [...CORE, 'agent/workloads'],
  'agent/rotation': [...CORE, 'agent/workloads'],
  'agent/broker-client': [...CORE, 'proto', 'agent/workloads', 'agent/rotation'],
  'agent/workload-api': [...CORE, 'proto', 'agent/workloads'],
  'agent/csi': [...CORE, 'proto', 'agent/workloads', 'agent/volume'],
  'agent/directory': [...CORE, 'agent/workloads', 'agent/volume'],
  agent: ['core', 'proto', 'agent'],
  'cli/installation': [],
  'cli/exit': ['core/runtime'],
  'cli/files': ['core/runtime'],
  'cli/checks': [...CORE, 'proto', 'cli/installation'],
  'cli/trust': CORE,
  'cli/svid': [...CORE, 'proto', 'cli/files'],
  'cli/broker': [...CORE, 'proto'],
  'cli/kubernetes': [...CORE, 'cli/installation', 'cli/trust'],
  'cli/explain': ['proto', 'cli/installation', 'cli/checks'],
  'cli/facts': [
    ...CORE,
    'proto',
    'cli/installation',
    'cli/exit',
    'cli/checks',
    'cli/explain',
    'cli/kubernetes',
    'cli/broker',
  ],
  'cli/output': ['core/runtime', 'cli/checks'],
  'cli/session': [...CORE, 'cli/installation', 'cli/kubernetes', 'cli/broker', 'cli/trust', 'cli/files'],
  'cli/completion': [],
  'cli/commands': ['core', 'proto', 'cli'],
  cli: ['core', 'proto', 'cli'],
}

/** Third-party packages that only some folders may import, by the beginning of the specifier. */
const ONLY_IN: Record<string, readonly string[]> = {
  'node-forge': ['core/pki'],
  '@kubernetes/client-node': ['broker/kubernetes', 'cli/kubernetes', 'cli/facts'],
  '@grpc/grpc-js': [
    'proto',
    'broker/api',
    'broker',
    'agent/csi',
    'agent/workload-api',
    'agent/broker-client',
    'agent',
    'cli/broker',
    'cli/svid',
  ],
  commander: ['cli', 'cli/commands', 'cli/completion'],
  'node:sqlite': ['broker/ledger'],
}

const files = globSync('{core,broker,agent,proto,sdk,cli}/**/*.ts').filter((file) => !file.endsWith('.test.ts'))

/** `broker/api/node-service.ts` is in `broker/api`, `broker/main.ts` in `broker`, and all of `proto` in `proto`. */
function folderOf(file: string): string {
  if (file.startsWith('proto/')) return 'proto'
  if (file === 'broker/problems.ts') return 'broker/problems'
  return dirname(file).split('/').slice(0, 2).join('/')
}

function mayImport(from: string, to: string): boolean {
  const allowed = MAY_IMPORT[from] ?? []
  const wires = from === 'broker' || from === 'agent' || from === 'cli' || from === 'cli/commands'
  return from === to || allowed.includes(to) || (wires && allowed.some((root) => to.startsWith(`${root}/`)))
}

/** The specifiers of static, side-effect, type and dynamic imports. */
function importsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8')
  return Array.from(source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g), ([, specifier]) => specifier ?? '')
}

test('there are files to look at', () => expect(files.length).toBeGreaterThan(50))

describe('imports point inwards', () => {
  test.for(files)('%s', (file) => {
    const wrong = importsOf(file)
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => folderOf(join(dirname(file), specifier)))
      .filter((folder) => !mayImport(folderOf(file), folder))
    expect(wrong, `${file} may not import these folders`).toEqual([])
  })
})

test('no file leads back to itself, not even by a type: what two of them need has a file of its own', () => {
  const imports = new Map(
    files.map((file) => [
      file,
      importsOf(file)
        .filter((each) => each.startsWith('.'))
        .map((each) => join(dirname(file), each)),
    ]),
  )
  const done = new Set<string>()
  const visit = (file: string, way: readonly string[]): void => {
    expect(way, 'imports in a circle').not.toContain(file)
    if (done.has(file)) return
    for (const next of imports.get(file) ?? []) visit(next, [...way, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
})

describe('packages with one place', () => {
  test.for(files)('%s', (file) => {
    const wrong = importsOf(file).filter((specifier) =>
      Object.entries(ONLY_IN).some(
        ([name, folders]) =>
          (specifier === name || specifier.startsWith(`${name}/`)) && !folders.includes(folderOf(file)),
      ),
    )
    expect(wrong).toEqual([])
  })
})

/** Edge files: what in `core` may touch the world (invariant 9). */
const CORE_EDGES = new Set([
  'core/runtime/config.ts',
  'core/runtime/core-dumps.ts',
  'core/runtime/small-file.ts',
  'core/runtime/system-clock.ts',
  'core/runtime/random.ts',
  'core/runtime/log.ts',
  'core/runtime/operations-server.ts',
])

describe('invariant 9: core does no I/O, and time and randomness are arguments', () => {
  test.for(files.filter((file) => file.startsWith('core/') && !CORE_EDGES.has(file)))('%s', (file) => {
    const io = importsOf(file).filter((specifier) =>
      /^node:(fs|net|tls|http|https|http2|dgram|dns|child_process|timers|worker_threads|process)\b/.test(specifier),
    )
    expect(io).toEqual([])
  })

  test.for(files.filter((file) => !CORE_EDGES.has(file)))('%s reads no ambient time or randomness', (file) => {
    const source = readFileSync(file, 'utf8').replaceAll(/^\s*(?:\/\/|\*|\/\*).*$/gm, '')
    expect(source).not.toMatch(
      /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bset(?:Timeout|Interval)\(|\bperformance\.now\(/,
    )
  })
})

test('no drawers', () => {
  expect(globSync('{core,broker,agent,sdk,cli,test}/**/{utils,util,helpers,common,managers,misc,lib}{,.ts}')).toEqual(
    [],
  )
})
