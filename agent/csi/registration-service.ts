import type { Log } from '../../core/runtime/log.ts'
import type { Handlers } from '../../proto/grpc-server.ts'
import type { Registration } from '../../proto/gen/third_party/pluginregistration/api_pb.ts'
import { DRIVER_NAME } from './identity-service.ts'

/** What kubelet says of the driver. */
export interface RegistrationObserver {
  /** kubelet asks who the driver is, and says later whether it takes it. */
  asked(): void
  /** The driver is kubelet's from now on, until kubelet or the socket goes. */
  registered(): void
  /** kubelet does not take the driver: it tries again as soon as the socket is made anew. */
  refused(): void
}

/** kubelet's plug-in registration. The empty endpoint says that the driver is served on this very socket. */
export function registrationService(log: Log, observer: RegistrationObserver): Handlers<typeof Registration> {
  return {
    getInfo: async () => {
      observer.asked()
      return { type: 'CSIPlugin', name: DRIVER_NAME, endpoint: '', supportedVersions: ['1.0.0'] }
    },
    notifyRegistrationStatus: async ({ pluginRegistered, error }) => {
      if (pluginRegistered) {
        log.info('kubelet has registered the driver')
        observer.registered()
      } else {
        log.error({ reason: error.slice(0, 1024) }, 'kubelet has refused the driver')
        observer.refused()
      }
      return {}
    },
  }
}
