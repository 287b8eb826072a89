import type { Handlers } from '../../proto/grpc-server.ts'
import { type Node, NodeServiceCapability_RPC_Type as Capability } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import type { Volumes } from './volumes.ts'

/** CSI's Node service: what kubelet asks for. VOLUME_MOUNT_GROUP makes it hand over the pod's fsGroup. */
export function nodeService(nodeName: string, volumes: Volumes): Handlers<typeof Node> {
  return {
    nodePublishVolume: async (request) => {
      await volumes.publish(request)
      return {}
    },
    nodeUnpublishVolume: async (request) => {
      await volumes.unpublish(request)
      return {}
    },
    nodeGetCapabilities: async () => ({
      capabilities: [{ type: { case: 'rpc', value: { type: Capability.VOLUME_MOUNT_GROUP } } }],
    }),
    nodeGetInfo: async () => ({ nodeId: nodeName }),
  }
}
