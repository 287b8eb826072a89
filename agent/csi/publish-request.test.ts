import { Buffer } from 'node:buffer'
import { describe, expect, test } from 'vitest'
import { create } from '@bufbuild/protobuf'
import {
  type NodePublishVolumeRequest,
  NodeUnpublishVolumeRequestSchema,
  VolumeCapabilitySchema,
} from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import {
  AUDIENCE,
  mountedAs,
  POD_UID,
  type PublishChange,
  publishRequest,
  unsignedToken,
  VOLUME_ID,
} from '../../test/fakes/publish-requests.ts'
import { parseFirstPublish, parseUnpublish } from './publish-request.ts'

const settings = { kubeletDirectory: '/var/lib/kubelet', audience: AUDIENCE }
const request = (change: PublishChange = {}) => publishRequest('/var/lib/kubelet', change)
const context = request().volumeContext
const TOKENS = 'csi.storage.k8s.io/serviceAccount.tokens'
const target = (rest: string) => `/var/lib/kubelet/pods/${rest}`
test('what kubelet sends', () => {
  expect(parseFirstPublish(request(), settings)).toMatchObject({
    volumeId: VOLUME_ID,
    pod: { podUid: POD_UID, podName: 'cart-0', namespace: 'shop', serviceAccount: 'cart' },
    token: unsignedToken(),
    gid: undefined,
    target: { root: '/var/lib/kubelet', parents: ['pods', POD_UID, 'volumes', 'kubernetes.io~csi', 'identity'] },
  })
})

test('the token is taken from the secrets first, then from the context', () => {
  const tokens = (token: string) => ({ [TOKENS]: JSON.stringify({ [AUDIENCE]: { token } }) })
  const inContext = { ...context, ...tokens(unsignedToken(POD_UID, 'context')) }
  const both = request({ volumeContext: inContext, secrets: tokens(unsignedToken(POD_UID, 'secret')) })
  expect(parseFirstPublish(both, settings).token).toBe(unsignedToken(POD_UID, 'secret'))
  const older = request({ volumeContext: inContext, secrets: {} })
  expect(parseFirstPublish(older, settings).token).toBe(unsignedToken(POD_UID, 'context'))
})

test.for([
  ['', undefined],
  ['0', 0],
  ['2000', 2000],
  ['4294967294', 4294967294],
] as const)('fsGroup %j', ([group, gid]) => {
  expect(parseFirstPublish(request({ volumeCapability: mountedAs(group) }), settings).gid).toBe(gid)
})

test('a tmpfs may be asked for', () => {
  expect(parseFirstPublish(request({ volumeCapability: mountedAs('', 'tmpfs') }), settings).gid).toBeUndefined()
})

const without = (name: string) =>
  Object.fromEntries(Object.entries(context).filter(([key]) => key !== `csi.storage.k8s.io/${name}`))
const withInfo = (name: string, value: string) => ({ ...context, [`csi.storage.k8s.io/${name}`]: value })
const tokens = (value: unknown) => ({ [TOKENS]: typeof value === 'string' ? value : JSON.stringify(value) })
const jwt = (claims: unknown) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.e30`

const REFUSED: [string, PublishChange, string, string][] = [
  ['no volume_id', { volumeId: '' }, 'volume_request_invalid', 'volume_id is missing'],
  ['no target_path', { targetPath: '' }, 'volume_request_invalid', 'target_path is missing'],
  ['a volume_id that climbs', { volumeId: '../x' }, 'volume_request_invalid', 'volume_id is not'],
  ['a volume_id of dots', { volumeId: '..' }, 'volume_request_invalid', 'volume_id is not'],
  ['a volume_id with a NUL', { volumeId: 'a\0b' }, 'volume_request_invalid', 'volume_id is not'],
  ['a huge volume_id', { volumeId: 'a'.repeat(100_000) }, 'volume_request_invalid', 'volume_id is not'],
  [
    'a block volume',
    { volumeCapability: create(VolumeCapabilitySchema, { accessType: { case: 'block', value: {} } }) },
    'volume_request_invalid',
    'volume_capability',
  ],
  [
    'no capability',
    { volumeCapability: create(VolumeCapabilitySchema) },
    'volume_request_invalid',
    'volume_capability',
  ],
  ['a persistent volume', { volumeContext: withInfo('ephemeral', 'false') }, 'volume_request_invalid', 'ephemeral'],
  ['a writable volume', { readonly: false }, 'volume_not_read_only', 'readOnly: true'],
  ['no pod name', { volumeContext: without('pod.name') }, 'volume_request_invalid', 'pod.name is missing'],
  [
    'a namespace with a slash',
    { volumeContext: withInfo('pod.namespace', 'a/b') },
    'volume_request_invalid',
    'pod.namespace is not',
  ],
  [
    'a pod name with a line feed',
    { volumeContext: withInfo('pod.name', 'a\nb') },
    'volume_request_invalid',
    'pod.name is not',
  ],
  [
    'a huge ServiceAccount',
    { volumeContext: withInfo('serviceAccount.name', 'a'.repeat(254)) },
    'volume_request_invalid',
    'serviceAccount.name is not',
  ],
  ["another pod's folder", { volumeContext: withInfo('pod.uid', 'another') }, 'target_path_invalid', 'another pod'],
  ['an unknown attribute', { volumeContext: { ...context, spiffeId: 'x' } }, 'volume_attribute_unknown', '"spiffeId"'],
  [
    'several mistakes at once',
    { readonly: false, volumeContext: { ...context, one: 'x', two: 'y' } },
    'volume_not_read_only',
    'readOnly: true; and the volume attributes are unknown: "one", "two" (the driver takes none)',
  ],
  [
    'a crowd of attributes',
    {
      volumeContext: {
        ...context,
        ...Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`x${index}`, ''])),
      },
    },
    'volume_attribute_unknown',
    '"x3" and 96 more',
  ],
  [
    'an attribute named __proto__',
    { volumeContext: { ...context, ['__proto__x']: 'x' } },
    'volume_attribute_unknown',
    '__proto__x',
  ],
  [
    'an attribute that forges a log line',
    { volumeContext: { ...context, 'a\nlevel=error\0"': 'x' } },
    'volume_attribute_unknown',
    '"a?level=error??"',
  ],
  [
    'a huge attribute name',
    { volumeContext: { ...context, ['k'.repeat(100_000)]: 'x' } },
    'volume_attribute_unknown',
    `"${'k'.repeat(64)}…"`,
  ],
  [
    'a file system of its own choice',
    { volumeCapability: mountedAs('', 'ext4') },
    'volume_attribute_invalid',
    'always a tmpfs, not "ext4": remove fsType',
  ],
  [
    'a file system that forges a log line',
    { volumeCapability: mountedAs('', 'a\nlevel=error') },
    'volume_attribute_invalid',
    '"a?level=error"',
  ],
  ['a group by name', { volumeCapability: mountedAs('root') }, 'volume_request_invalid', 'volume_mount_group'],
  ['a negative group', { volumeCapability: mountedAs('-1') }, 'volume_request_invalid', 'volume_mount_group'],
  [
    'the group that means none',
    { volumeCapability: mountedAs('4294967295') },
    'volume_request_invalid',
    'volume_mount_group',
  ],
  ['no tokens', { secrets: {} }, 'volume_request_invalid', 'tokenRequests'],
  ['tokens that are no JSON', { secrets: tokens('{"eyJhbGciOi') }, 'volume_request_invalid', 'not a JSON object'],
  ['tokens in a list', { secrets: tokens([]) }, 'volume_request_invalid', 'not a JSON object'],
  ['huge tokens', { secrets: tokens(' '.repeat(300_000)) }, 'volume_request_invalid', 'not a JSON object'],
  ['no token for us', { secrets: tokens({ other: { token: 'x' } }) }, 'token_audience_wrong', AUDIENCE],
  ['a token that is a number', { secrets: tokens({ [AUDIENCE]: { token: 1 } }) }, 'token_malformed', 'not a JWT'],
  ['no token in the entry', { secrets: tokens({ [AUDIENCE]: null }) }, 'token_malformed', 'not a JWT'],
  ['a token of four parts', { token: 'a.b.c.d' }, 'token_malformed', 'not a JWT'],
  ['a huge token', { token: 'a'.repeat(20_000) }, 'token_too_large', '16 KiB'],
  ['a token without a pod', { token: jwt({ 'kubernetes.io': {} }) }, 'token_unbound', 'not bound'],
  ['a token that is not claims', { token: jwt([]) }, 'token_unbound', 'not bound'],
  ["another pod's token", { token: unsignedToken('another') }, 'workload_mismatch', 'another pod'],
]

describe('refused', () => {
  test.for(REFUSED)('%s', ([, change, code, message]) => {
    expect(() => parseFirstPublish(request(change), settings)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) as string }),
    )
  })

  test.for([
    'etc',
    `${POD_UID}/volumes/kubernetes.io~csi/identity`,
    `${POD_UID}/volumes/kubernetes.io~csi/identity/mount/`,
    `${POD_UID}/volumes/kubernetes.io~csi/identity/mount/..`,
    `${POD_UID}/volumes/kubernetes.io~csi/../mount`,
    `${POD_UID}/volumes/kubernetes.io~csi/a b/mount`,
    `${POD_UID}/volumes/kubernetes.io~csi//mount`,
    `${POD_UID}/volumes/kubernetes.io~secret/identity/mount`,
    `./${POD_UID}/volumes/kubernetes.io~csi/identity/mount`,
    `../pods/${POD_UID}/volumes/kubernetes.io~csi/identity/mount`,
    `..%2f/volumes/kubernetes.io~csi/identity/mount`,
    `${POD_UID}/volumes/kubernetes.io~csi/identity\0/mount`,
    `${POD_UID}/volumes/kubernetes.io~csi/identity/mount\n`,
    `${'u'.repeat(200)}/volumes/kubernetes.io~csi/identity/mount`,
    'u/'.repeat(50_000),
  ])('target_path …/pods/%s', (rest) => {
    expect(() => parseFirstPublish(request({ targetPath: target(rest) }), settings)).toThrow(
      expect.objectContaining({ code: 'target_path_invalid' }),
    )
  })

  test.for(['/etc', 'var/lib/kubelet/pods', '/var/lib/kubelet2/pods/u/volumes/kubernetes.io~csi/v/mount', '/', '\0'])(
    'target_path %j outside',
    (targetPath) => {
      expect(() => parseFirstPublish(request({ targetPath }), settings)).toThrow(
        expect.objectContaining({ code: 'target_path_invalid' }),
      )
    },
  )
})

test('invariant 6: no refusal repeats any of a token', () => {
  const seen: string[] = []
  const secret = 'c2VjcmV0LXNlY3JldA'
  const changes: PublishChange[] = [
    { token: secret },
    { token: `${secret}.${secret}.${secret}` },
    { secrets: tokens(`{"${AUDIENCE}": {"token": "${secret}`) },
    { secrets: tokens({ [secret]: { token: secret } }) },
  ]
  for (const change of changes) {
    try {
      parseFirstPublish(request(change), settings)
    } catch (error) {
      seen.push(`${String(error)} ${JSON.stringify(error)} ${String((error as Error).cause)}`)
    }
  }
  expect(seen).toHaveLength(changes.length)
  expect(seen.join()).not.toContain(secret)
})

test("the order of checks is csi-sanity's", () => {
  const empty = request({
    volumeId: '',
    targetPath: '',
    readonly: false,
    volumeCapability: create(VolumeCapabilitySchema),
  })
  const messages = [
    empty,
    { ...empty, volumeId: VOLUME_ID },
    { ...empty, volumeId: VOLUME_ID, targetPath: '/tmp/target' },
    { ...request({ readonly: false }), targetPath: '/tmp/target' },
  ].map((each: NodePublishVolumeRequest) => {
    try {
      return parseFirstPublish(each, settings)
    } catch (error) {
      return (error as Error).message
    }
  })
  expect(messages).toEqual([
    'volume_id is missing',
    'target_path is missing',
    'volume_capability is missing, or not of a mounted volume',
    expect.stringContaining('target_path is not'),
  ])
})

test.for([
  [{ volumeId: '', targetPath: '/x' }, 'volume_request_invalid'],
  [{ volumeId: 'x', targetPath: '' }, 'volume_request_invalid'],
  [{ volumeId: 'x', targetPath: '/x' }, 'target_path_invalid'],
] as const)('unpublish %j is refused', ([change, code]) => {
  expect(() => parseUnpublish(create(NodeUnpublishVolumeRequestSchema, change), settings)).toThrow(
    expect.objectContaining({ code }),
  )
})
