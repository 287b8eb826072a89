import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { logToStderr } from '../cluster/base/log.ts'
import { type RunResult, tryRun } from '../cluster/base/run.ts'
import { buildTools } from '../cluster/tools/build.ts'
import { HELM } from '../cluster/tools/catalog.ts'

const CHART = join(import.meta.dirname, '..', '..', 'deploy', 'chart')

/** An object as a manifest has it. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Record<string, string>
    readonly annotations?: Record<string, string>
  }
  // What is looked at depends on the kind; a test that is wrong about it fails.
  readonly [field: string]: unknown
}

export interface RenderOptions {
  /** Besides those that every rendering needs. */
  readonly values?: object
  readonly kubeVersion?: string
  readonly namespace?: string
  readonly hooks?: boolean
  /** A cluster to look at, for an upgrade. */
  readonly upgradeIn?: string
}

/** What `helm template` answers, asking no cluster but for `upgradeIn`. */
export async function tryRenderChart({ values = {}, ...options }: RenderOptions = {}): Promise<RunResult> {
  const { kubeVersion = '1.37.0', namespace = 'countersign-system', hooks = true, upgradeIn } = options
  const { helm = '' } = await buildTools(logToStderr, undefined, [HELM])
  const directory = await mkdtemp(join(tmpdir(), 'chart-'))
  try {
    const file = join(directory, 'values.json')
    await writeFile(file, JSON.stringify({ trustDomain: 'prod.example', ...values }))
    const args = ['template', 'countersign', CHART, '--namespace', namespace, '--values', file]
    const server = upgradeIn === undefined ? ['--kube-version', kubeVersion] : ['--is-upgrade', '--dry-run=server']
    return await tryRun(helm, [...args, ...server, ...(hooks ? [] : ['--no-hooks'])], {
      env: { PATH: process.env['PATH'], HOME: directory, KUBECONFIG: upgradeIn ?? join(directory, 'none') },
    })
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** As text. Fails unless Helm renders it. */
export async function renderChartText(options: RenderOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await tryRenderChart(options)
  if (code !== 0) throw new Error(`helm template exited ${code}\n${stderr}`)
  return stdout
}

export async function renderChart(options: RenderOptions = {}): Promise<readonly Manifest[]> {
  return manifestsIn(await renderChartText(options))
}

/** The objects of a file with many documents. Fails where one is not valid YAML. */
export function manifestsIn(text: string): readonly Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [problem] = document.errors
    if (problem) throw problem
    const object = document.toJS() as Manifest | null
    return object === null ? [] : [object]
  })
}
