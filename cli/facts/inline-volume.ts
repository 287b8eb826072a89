import { IdentityError } from '../../core/runtime/errors.ts'
import { CSI_DRIVER } from '../installation/names.ts'
import type { Cluster } from '../kubernetes/cluster.ts'

/** A pod that satisfies the strictest Pod Security profile, and so is refused for its volume or for nothing. */
const PROBE = {
  metadata: { generateName: 'countersign-check-' },
  spec: {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'main',
        image: 'countersign.invalid/never-pulled',
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: { requests: { cpu: '1m', memory: '1Mi' }, limits: { cpu: '1m', memory: '1Mi' } },
        volumeMounts: [{ name: 'identity', mountPath: '/identity', readOnly: true }],
      },
    ],
    volumes: [{ name: 'identity', csi: { driver: CSI_DRIVER, readOnly: true } }],
  },
}

/** Why the cluster would refuse a pod with a volume of ours; `undefined` if it would not. Nothing is made. */
export async function inlineVolumeRefusal(cluster: Cluster, namespace: string): Promise<string | undefined> {
  try {
    await cluster.call(`create pods in namespace ${namespace}`, ({ core }) =>
      core.createNamespacedPod({ namespace, dryRun: 'All', body: PROBE }),
    )
    return undefined
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
    // An admission plugin forbids with the same status as RBAC, but RBAC has no opinion of what is in a pod.
    const isAdmission =
      error.code === 'request_invalid' || (error.code === 'kubernetes_forbidden' && !isMissingRule(error.message))
    if (isAdmission) return error.message
    throw error
  }
}

function isMissingRule(message: string): boolean {
  return / cannot create resource "pods"/.test(message)
}
