/**
 * A broker as a process of its own that kills itself, as a power failure would, when it comes to a step of the issuance
 * cycle for a workload: `node broker-process.ts CONFIG STEP`.
 *
 * @module
 */
import { startBroker } from '../../broker/broker.ts'
import { readBrokerConfig } from '../../broker/config.ts'
import { createLog } from '../../core/runtime/log.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'

const [config = '', killAt = ''] = process.argv.slice(2)
let isArmed = false
const broker = await startBroker(readBrokerConfig(config), {
  clock: systemClock,
  random: systemRandom,
  log: createLog('broker', 'silent'),
  failPoint: (step) => {
    // Step 2 is taken for workloads alone: agents and the broker itself come to the later ones unharmed.
    if (step === '2 attest') isArmed = true
    if (isArmed && step === killAt) process.kill(process.pid, 'SIGKILL')
  },
})
process.stdout.write(`${broker.port}\n`)
