import { expect, test } from 'vitest'
import { mountFailure } from './mount-failure.ts'

/** As kubelet 1.37 writes them. */
const messages: [message: string, reason: string, remedy: string][] = [
  [
    'MountVolume.SetUp failed for volume "identity" : rpc error: code = PermissionDenied desc = template_ambiguous: more than one IdentityTemplate selects the workload',
    'template_ambiguous: more than one IdentityTemplate selects the workload',
    'Narrow the selectors',
  ],
  [
    'MountVolume.SetUp failed for volume "identity" : rpc error: code = Unavailable desc = broker_unavailable: the broker does not answer',
    'broker_unavailable: the broker does not answer',
    'The agent retries by itself',
  ],
  [
    'MountVolume.SetUp failed for volume "identity" : kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name csi.countersign.dev not found in the list of registered CSI drivers',
    'no agent is registered with the kubelet of its node',
    'kubectl -n countersign-agent get pods',
  ],
  [
    'MountVolume.NewMounter initialization failed for volume "identity" : volume mode "Ephemeral" not supported by driver csi.countersign.dev (no CSIDriver object)',
    'the CSIDriver object is missing, or does not allow inline volumes',
    'Restore the CSIDriver object',
  ],
  [
    'MountVolume.SetUp failed for volume "identity" : rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix /var/lib/kubelet/plugins_registry/csi.countersign.dev.sock: connect: connection refused"',
    'kubelet cannot reach the agent on its node',
    'comes back by itself',
  ],
  [
    'MountVolume.SetUp failed for volume "identity" : rpc error: code = DeadlineExceeded desc = context deadline exceeded',
    'did not answer in time',
    'countersign check',
  ],
]

test.for(messages)('%s', ([message, reason, remedy]) => {
  const failure = mountFailure(message)
  expect(failure?.reason).toContain(reason)
  expect(failure?.remedy).toContain(remedy)
})

test('what nobody knows is not guessed', () => {
  expect(mountFailure('MountVolume.SetUp failed for volume "data" : something else')).toBeUndefined()
  expect(mountFailure('rpc error: code = Internal desc = some_other_code: words')).toBeUndefined()
})
