import { systemClock } from '../core/runtime/system-clock.ts'
import { describeAttestation } from './attestation-behaviour.ts'
import { attachCluster } from './cluster/attach.ts'

describeAttestation(async () => {
  const cluster = await attachCluster()
  return {
    adminKubeconfig: cluster.adminKubeconfig,
    clock: systemClock,
    request: (method, path, body) => cluster.request(method, path, body),
    pass: (milliseconds) => systemClock.sleep(milliseconds),
  }
})
