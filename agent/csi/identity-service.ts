import type { Handlers } from '../../proto/grpc-server.ts'
import type { Identity } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import { MOUNT_SOURCE } from '../volume/tmpfs-options.ts'

/** The driver's name, by which pods ask for it; mounts bear it too. */
export const DRIVER_NAME = MOUNT_SOURCE

/** CSI's Identity service: who this is. kubelet asks nothing of it; other tools do. */
export function identityService(version: string): Handlers<typeof Identity> {
  return {
    getPluginInfo: async () => ({ name: DRIVER_NAME, vendorVersion: version }),
    getPluginCapabilities: async () => ({}),
    probe: async () => ({ ready: true }),
  }
}
