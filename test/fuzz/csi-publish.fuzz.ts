import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { parseFirstPublish, type FirstPublishRequest } from '../../agent/csi/publish-request.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import {
  type NodePublishVolumeRequest,
  NodePublishVolumeRequestSchema,
  VolumeCapabilitySchema,
} from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import { AUDIENCE, mountedAs, POD_UID, publishRequest, unsignedToken, VOLUME_ID } from '../fakes/publish-requests.ts'
import { defineTarget, property } from './harness.ts'
import type { Rng } from './rng.ts'

const KUBELET = '/var/lib/kubelet'
const settings = { kubeletDirectory: KUBELET, audience: AUDIENCE }
const TOKENS = 'csi.storage.k8s.io/serviceAccount.tokens'
/** Stands in every token that is made here, and must stand in no refusal. */
const SECRET = 'c2VjcmV0c2VjcmV0'

const HOSTILE = ['', '..', '../../etc', 'a/b', 'a\nb', 'a\0b', '-', '__proto__', 'constructor', 'é', 'x'.repeat(70_000)]

export const target = defineTarget<NodePublishVolumeRequest>({
  name: 'csi-publish',
  generate(rng) {
    const request = publishRequest(KUBELET, { token: `${unsignedToken(POD_UID)}${SECRET}` })
    if (!rng.oneIn(4)) for (const change of rng.list(1, 2, () => rng.pick(CHANGES))) change(request, rng)
    return throughTheWire(request)
  },
  run: (request) => check(request, (given) => parseFirstPublish(given, settings)),
  plantedFault: {
    description: 'a writable volume is taken',
    run: (request) => check(request, (given) => parseFirstPublish({ ...given, readonly: true }, settings)),
  },
})

const CHANGES: readonly ((request: NodePublishVolumeRequest, rng: Rng) => void)[] = [
  (request, rng) => (request.volumeId = rng.pick([...HOSTILE, 'a', VOLUME_ID.toUpperCase()])),
  (request, rng) => (request.targetPath = rng.pick([...HOSTILE, '/', `${request.targetPath}/..`])),
  (request, rng) => (request.readonly = rng.oneIn(2)),
  (request, rng) =>
    (request.volumeCapability = mountedAs(rng.pick(['0', '1000', '-1', '1e3', '4294967295', ' 1', '٣']))),
  (request, rng) => (request.volumeCapability = mountedAs('', rng.pick([...HOSTILE, 'tmpfs', 'ext4']))),
  (request) => (request.volumeCapability = create(VolumeCapabilitySchema)),
  (request, rng) => (request.volumeContext[rng.pick(HOSTILE)] = rng.pick(HOSTILE)),
  (request, rng) => (request.volumeContext[`csi.storage.k8s.io/${rng.pick(['x', ...HOSTILE])}`] = rng.pick(HOSTILE)),
  (request, rng) => {
    const name = rng.pick(Object.keys(request.volumeContext))
    if (rng.oneIn(2)) delete request.volumeContext[name]
    else request.volumeContext[name] = rng.pick(HOSTILE)
  },
  (request, rng) => (request.secrets[rng.oneIn(2) ? TOKENS : rng.pick(HOSTILE)] = hostileTokens(rng)),
  (request) => {
    request.volumeContext[TOKENS] = request.secrets[TOKENS] ?? ''
    request.secrets = {}
  },
]

function hostileTokens(rng: Rng): string {
  const token = rng.pick<unknown>([
    unsignedToken(POD_UID) + SECRET,
    unsignedToken('another') + SECRET,
    `${SECRET}.${SECRET}.${SECRET}`,
    SECRET,
    `${SECRET}${'x'.repeat(17_000)}`,
    { [SECRET]: 1 },
    null,
    7,
  ])
  const entry = rng.pick<unknown>([{ token }, token, [token], { expirationTimestamp: SECRET }])
  const text = JSON.stringify(
    rng.pick<unknown>([{ [AUDIENCE]: entry }, { '': entry, [SECRET]: entry }, [entry], entry]),
  )
  return rng.oneIn(4) ? text.slice(0, rng.below(text.length)) : text
}

/** As grpc-js hands it over. */
function throughTheWire(request: NodePublishVolumeRequest): NodePublishVolumeRequest {
  return fromBinary(NodePublishVolumeRequestSchema, toBinary(NodePublishVolumeRequestSchema, request))
}

function check(
  request: NodePublishVolumeRequest,
  parse: (request: NodePublishVolumeRequest) => FirstPublishRequest,
): void {
  let parsed: FirstPublishRequest
  try {
    parsed = parse(request)
  } catch (error) {
    const { message } = error as Error
    property(!message.includes(SECRET), 'a refusal repeats a secret')
    property(message.length < 300 && /^[\x20-\x7e…]*$/.test(message), 'a refusal is not fit for an event')
    property(!(error instanceof IdentityError) || !String(error.cause).includes(SECRET), 'a cause repeats a secret')
    throw error
  }
  property(request.readonly, 'the volume is writable')
  property(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(parsed.volumeId), 'the volume ID is no name of a file')
  property(parsed.pod.podUid === parsed.target.podUid, "the target path is another pod's")
  property(parsed.token.startsWith(unsignedToken(POD_UID)), "the token is another pod's")
  property(
    Object.values(parsed.pod).every((value) => /^[A-Za-z0-9.-]{1,253}$/.test(value)),
    'a fact is no name',
  )
  property(parsed.gid === undefined || (Number.isInteger(parsed.gid) && parsed.gid >= 0), 'the group is no number')
  property(
    Object.keys(request.volumeContext).every((name) => name.startsWith('csi.storage.k8s.io/')),
    'an unknown attribute is accepted',
  )
}
