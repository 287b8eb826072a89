import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startCsiDriver } from '../../agent/csi/csi-driver.ts'
import { createLog } from '../../core/runtime/log.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { someDelivered } from '../fakes/delivered.ts'
import { FakeWorkloads } from '../fakes/fake-workloads.ts'
import { startRecorder } from './recorder.ts'

/*
 * The CSI driver alone, with identities that nobody vouches for: what kubelet and csi-sanity are held against. With
 * `--record` a proxy stands between kubelet and the driver and writes down what passes.
 */

const { values } = parseArgs({
  options: {
    registry: { type: 'string', default: '/var/lib/kubelet/plugins_registry' },
    kubelet: { type: 'string', default: '/var/lib/kubelet' },
    state: { type: 'string', default: '/run/countersign-csi-driver' },
    node: { type: 'string', default: 'node' },
    audience: { type: 'string', default: 'countersign.dev/prod.example' },
    record: { type: 'string' },
  },
})

const log = createLog('csi-driver', 'info')
const delivered = await someDelivered()
const workloads = new FakeWorkloads(() => Promise.resolve(delivered))
const pluginsRegistry = values.record === undefined ? values.registry : join(values.state, 'inner')
await mkdir(pluginsRegistry, { recursive: true })
const driver = await startCsiDriver(
  {
    pluginsRegistry,
    kubeletDirectory: values.kubelet,
    stateDirectory: values.state,
    audience: values.audience,
    nodeName: values.node,
    version: '0.0.0-test',
  },
  {
    workloads,
    clock: systemClock,
    log,
    ended: ({ path, code, error }) => log.info({ path, code, err: error }, 'call'),
  },
)
const recorder =
  values.record === undefined
    ? undefined
    : await startRecorder({ outer: values.registry, inner: pluginsRegistry, file: values.record })

process.stdout.write(`${JSON.stringify({ ready: true, ...driver.recovered })}\n`)
process.once('SIGTERM', () => {
  void (async () => {
    await recorder?.close()
    await driver.close()
    await workloads.close()
    process.exit(0)
  })()
})
