import { Buffer } from 'node:buffer'
import { create } from '@bufbuild/protobuf'
import {
  type NodePublishVolumeRequest,
  NodePublishVolumeRequestSchema,
  type VolumeCapability,
  VolumeCapability_AccessMode_Mode as Mode,
  VolumeCapabilitySchema,
} from '../../proto/gen/third_party/csi/v1/csi_pb.ts'

export const AUDIENCE = 'countersign.dev/prod.example'
export const POD_UID = 'd26fcac6-b02c-4ee9-8a7d-c1a6a3c4f201'
export const VOLUME_ID = `csi-${'5e'.repeat(32)}`

/** A token of the shape of kubelet's, which nobody signed. `mark` tells one from another. */
export function unsignedToken(podUid = POD_UID, mark = ''): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { aud: [AUDIENCE], 'kubernetes.io': { namespace: 'shop', pod: { name: 'cart-0', uid: podUid } }, mark }
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`
}

/** What a test may change of a request. */
export interface PublishChange {
  readonly volumeId?: string
  readonly targetPath?: string
  readonly readonly?: boolean
  readonly volumeCapability?: VolumeCapability
  readonly secrets?: Record<string, string>
  readonly volumeContext?: Record<string, string>
  readonly token?: string
}

/** What kubelet 1.37 sends for an inline volume, with one thing changed. */
export function publishRequest(
  kubeletDirectory: string,
  { token = unsignedToken(), ...change }: PublishChange = {},
): NodePublishVolumeRequest {
  const tokens = { [AUDIENCE]: { token, expirationTimestamp: '2026-01-01T01:00:00Z' } }
  return create(NodePublishVolumeRequestSchema, {
    volumeId: VOLUME_ID,
    targetPath: `${kubeletDirectory}/pods/${POD_UID}/volumes/kubernetes.io~csi/identity/mount`,
    readonly: true,
    secrets: { 'csi.storage.k8s.io/serviceAccount.tokens': JSON.stringify(tokens) },
    volumeContext: {
      'csi.storage.k8s.io/ephemeral': 'true',
      'csi.storage.k8s.io/pod.name': 'cart-0',
      'csi.storage.k8s.io/pod.namespace': 'shop',
      'csi.storage.k8s.io/pod.uid': POD_UID,
      'csi.storage.k8s.io/serviceAccount.name': 'cart',
    },
    ...change,
    volumeCapability: change.volumeCapability ?? mountedAs(''),
  })
}

/** The capability of a mounted volume of a pod with this fsGroup. */
export function mountedAs(volumeMountGroup: string, fsType = ''): VolumeCapability {
  return create(VolumeCapabilitySchema, {
    accessType: { case: 'mount', value: { volumeMountGroup, fsType } },
    accessMode: { mode: Mode.SINGLE_NODE_WRITER },
  })
}
