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
import { attachCluster } from '../cluster/attach.ts'
import { logToStderr as log } from '../cluster/base/log.ts'
import { InVain, waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { interruption } from '../cluster/interruption.ts'
import { isComponentRunning, logFile, startComponent, stopComponent } from '../cluster/machine/processes.ts'
import { REPOSITORY } from './broker-process.ts'
import { installCountersign } from './installation.ts'
import { installingProcesses, removeAbandoned } from './installation-folder.ts'
import { objectsOfOthers, removeObjects } from './installation-objects.ts'
import { refuseIfInstalled } from './refuse-if-installed.ts'

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
  await refuseIfInstalled(cluster)
  const signal = interruption()
  const installation = await installCountersign(cluster)
  log(NEXT_STEPS)
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
  await installation.stop()
  await removeObjects(cluster)
}

async function up(): Promise<void> {
  const cluster = await attachCluster()
  if (await isComponentRunning(COMPONENT)) return log(NEXT_STEPS)
  await refuseIfInstalled(cluster)
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
  const cluster = await attachCluster()
  const isRunning = await isComponentRunning(COMPONENT)
  const pods = isRunning ? await podsWithVolumes(cluster) : []
  if (pods.length > 0)
    throw new Error(`only an agent can unpublish the volumes of ${pods.join(', ')}: delete these pods first`)
  await stopComponent(COMPONENT, STOP_MS)
  const [other] = await installingProcesses()
  if (other) throw new Error(`Countersign was installed by process ${other.pid}: end that, and this goes with it`)
  const abandoned = await removeAbandoned()
  // The component has removed them as it ended, unless it was killed.
  const hadObjects = await removeObjects(cluster)
  if (isRunning || abandoned > 0 || hadObjects) return log('Countersign is uninstalled')
  const others = await objectsOfOthers(cluster)
  const but = others.length > 0 ? `; for ${others.join(', ')} see docs/operations.md, Uninstall` : ''
  return log(`there is nothing of \`npm run cluster:install\` to uninstall${but}`)
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

const USAGE = 'usage: npm run cluster:install, npm run cluster:uninstall (no arguments)'

try {
  const [name = 'run', ...more] = process.argv.slice(2)
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (more.includes('--help') || name === '--help') log(USAGE)
  else if (command && more.length === 0) await command()
  else {
    log(`unknown argument ${(command ? more : [name]).join(' ')}\n${USAGE}`)
    process.exitCode = 2
  }
} catch (error) {
  log(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
