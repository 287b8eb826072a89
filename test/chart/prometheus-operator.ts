import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../cluster/base/run.ts'

const MODULE = 'github.com/prometheus-operator/prometheus-operator'
const DIRECTORY = join(import.meta.dirname, '..', 'cluster', 'tools', 'prometheus-operator')

/** The custom resource definitions of the Prometheus operator that the chart has objects of; they come as a Go module. */
export async function prometheusDefinitions(): Promise<string> {
  const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly' }
  const downloaded = await run('go', ['mod', 'download', '-json', MODULE], { cwd: DIRECTORY, env, timeout: 300_000 })
  const { Dir: source } = JSON.parse(downloaded) as { Dir: string }
  const files = ['servicemonitors', 'prometheusrules'].map((name) =>
    readFile(join(source, 'example', 'prometheus-operator-crd', `monitoring.coreos.com_${name}.yaml`), 'utf8'),
  )
  return (await Promise.all(files)).join('\n---\n')
}
