import type { Cluster } from '../cluster/cluster.ts'
import { BUSYBOX_IMAGE } from '../cluster/images/catalog.ts'
import type { NodeName } from '../cluster/layout.ts'
import { CSI_DRIVER } from './agent-process.ts'

/** Where the pod's only container has its first volume; the others are at `/identity-1`, … */
export const MOUNT_PATH = '/identity'

export interface IdentityPodOptions {
  readonly namespace: string
  readonly name: string
  readonly node: NodeName
  readonly serviceAccount: string
  /** How many volumes, each with an SVID of its own. Default 1. */
  readonly volumes?: number
  readonly image?: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  /** Added to the pod's spec. */
  readonly spec?: object
}

/** A pod as a careful team writes it: any user but root, nothing to write to, no capability. */
export function identityPod(options: IdentityPodOptions): object {
  const { namespace, name, node, serviceAccount, volumes = 1, image = BUSYBOX_IMAGE, args, spec } = options
  // The image's own program, where it is to run with arguments.
  const command = options.command ?? (args ? undefined : ['sleep', '3600'])
  const names = Array.from({ length: volumes }, (_, index) => volumeName(index))
  const csi = { driver: CSI_DRIVER, readOnly: true }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { suite: namespace } },
    spec: {
      nodeName: node,
      serviceAccountName: serviceAccount,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      securityContext: { runAsNonRoot: true, runAsUser: 1234, runAsGroup: 1234 },
      ...spec,
      containers: [
        {
          name: 'main',
          image,
          ...(command && { command }),
          ...(args && { args }),
          env: [{ name: 'SPIFFE_ENDPOINT_SOCKET', value: `unix://${MOUNT_PATH}/socket` }],
          securityContext: {
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: names.map((volume) => ({ name: volume, mountPath: `/${volume}`, readOnly: true })),
        },
      ],
      volumes: names.map((volume) => ({ name: volume, csi })),
    },
  }
}

export function volumeName(index: number): string {
  return index === 0 ? 'identity' : `identity-${index}`
}

/** Makes a namespace with ServiceAccounts. */
export async function createNamespaceWith(
  cluster: Cluster,
  namespace: string,
  serviceAccounts: readonly string[],
): Promise<void> {
  await cluster.createNamespace(namespace)
  await cluster.apply(
    serviceAccounts.map((name) => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace },
      automountServiceAccountToken: false,
    })),
  )
}

/** An IdentityTemplate for ServiceAccounts of this name, in whatever namespace. */
export function templateFor(serviceAccount: string, ttl: string): object {
  return {
    apiVersion: 'countersign.dev/v1alpha1',
    kind: 'IdentityTemplate',
    metadata: { name: serviceAccount },
    spec: { serviceAccounts: [serviceAccount], ttl },
  }
}
