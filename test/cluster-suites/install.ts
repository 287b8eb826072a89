/**
 * Countersign on the test cluster, for hands:
 *
 *     node test/cluster-suites/install.ts [run]    a broker and an agent on each node, until Ctrl-C
 *     node test/cluster-suites/install.ts up       the same in the background
 *     node test/cluster-suites/install.ts down
 *
 * @module
 */
import { readFile } from 'node:fs/promises'
import { attachCluster, findCluster } from '../cluster/attach.ts'
import { logToStderr as log } from '../cluster/base/log.ts'
import { InVain, waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { interruption } from '../cluster/interruption.ts'
import { isComponentRunning, logFile, startComponent, stopComponent } from '../cluster/machine/processes.ts'
import { REPOSITORY } from './broker-process.ts'
import { installCountersign } from './installation.ts'

const COMPONENT = 'countersign'
const READY = 'Countersign is installed'
const STOP_MS = 40_000

const NEXT_STEPS = `${READY}: a broker and an agent on each node, as processes of this machine. Next:

  npm run cluster -- kubectl apply -f deploy/examples/pod.yaml
  npm run cluster -- kubectl -n shop wait --for=condition=Ready pod/checkout
  npm run cluster -- kubectl -n shop exec checkout -- openssl x509 -in /identity/tls.crt -noout -ext subjectAltName -enddate
  npm run cluster -- kubectl -n shop exec checkout -- openssl verify -CAfile /identity/ca.crt /identity/tls.crt
  npm run cluster -- kubectl delete -f deploy/examples/pod.yaml
  npm run cluster:uninstall`

async function runInForeground(): Promise<void> {
  const cluster = await attachCluster()
  const signal = interruption()
  const installation = await installCountersign(cluster)
  log(NEXT_STEPS)
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
  await installation.stop()
}

async function up(): Promise<void> {
  await attachCluster()
  if (await isComponentRunning(COMPONENT)) return log(NEXT_STEPS)
  const before = (await logText()).length
  await startComponent(COMPONENT, process.execPath, [import.meta.filename, 'run'], { cwd: REPOSITORY })
  await waitFor('Countersign to be installed', async () => {
    const said = (await logText()).slice(before)
    if (said.includes(READY)) return true
    if (!(await isComponentRunning(COMPONENT))) throw new InVain(`it was not installed: ${said}`)
    return false
  })
  return log(NEXT_STEPS)
}

async function down(): Promise<void> {
  const cluster = await findCluster()
  const pods = cluster && (await isComponentRunning(COMPONENT)) ? await podsWithVolumes(cluster) : []
  if (pods.length > 0)
    throw new Error(`only an agent can unpublish the volumes of ${pods.join(', ')}: delete these pods first`)
  await stopComponent(COMPONENT, STOP_MS)
  log('Countersign is uninstalled')
}

async function podsWithVolumes(cluster: Cluster): Promise<string[]> {
  const drivers = '{range .spec.volumes[*]}{.csi.driver}{" "}{end}'
  const lines = `{range .items[*]}{.metadata.namespace}/{.metadata.name} ${drivers}{"\\n"}{end}`
  const notEnded = '--field-selector=status.phase!=Succeeded,status.phase!=Failed'
  const pods = await cluster.kubectl(['get', 'pods', '--all-namespaces', notEnded, '-o', `jsonpath=${lines}`])
  return pods.split('\n').flatMap((line) => {
    const [name = '', ...others] = line.trim().split(' ')
    return others.includes('csi.countersign.dev') ? [name] : []
  })
}

async function logText(): Promise<string> {
  return readFile(logFile(COMPONENT), 'utf8').catch(() => '')
}

const COMMANDS: Readonly<Record<string, () => Promise<void>>> = { run: runInForeground, up, down }

try {
  const [name = 'run', ...more] = process.argv.slice(2)
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command || more.length > 0)
    throw new Error('usage: npm run cluster:install, npm run cluster:uninstall (no arguments)')
  await command()
} catch (error) {
  log(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
