import { expect, test } from 'vitest'
import { hasVolumes, podFact } from './pod-fact.ts'

const DRIVER = 'csi.countersign.dev'

test('what is kept of a pod', () => {
  const fact = podFact(
    {
      metadata: { namespace: 'shop', name: 'cart', uid: 'u', deletionTimestamp: new Date(0) },
      spec: {
        nodeName: 'node-a',
        serviceAccountName: 'cart',
        volumes: [
          { name: 'identity', csi: { driver: DRIVER, readOnly: true } },
          { name: 'second', csi: { driver: DRIVER, volumeAttributes: { a: 'b' } } },
          { name: 'secrets', csi: { driver: 'secrets-store.csi.k8s.io' } },
          { name: 'tmp' },
          { name: 'data', persistentVolumeClaim: { claimName: 'cart-data' } },
        ],
      },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    },
    DRIVER,
  )
  expect(fact).toEqual({
    namespace: 'shop',
    name: 'cart',
    uid: 'u',
    node: 'node-a',
    serviceAccount: 'cart',
    phase: 'Running',
    isReady: true,
    isBeingDeleted: true,
    volumes: [
      { name: 'identity', readOnly: true, attributes: {} },
      { name: 'second', readOnly: false, attributes: { a: 'b' } },
    ],
    foreignVolumes: [{ name: 'secrets', driver: 'secrets-store.csi.k8s.io' }],
    claims: ['cart-data'],
    problems: [],
  })
})

test('a pod without anything is no bug', () => {
  expect(podFact({}, DRIVER)).toMatchObject({ node: '', serviceAccount: 'default', phase: 'Unknown', volumes: [] })
})

test('why it does not run, in the words of scheduler and kubelet', () => {
  const { problems } = podFact(
    {
      status: {
        conditions: [
          { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/2 nodes are available' },
        ],
        initContainerStatuses: [{ name: 'init', state: { waiting: { reason: 'PodInitializing' } } }],
        containerStatuses: [
          {
            name: 'main',
            restartCount: 4,
            state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 1m20s' } },
            lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
          },
          { name: 'other', state: { waiting: { reason: 'ContainerCreating' } } },
        ],
      },
    },
    DRIVER,
  )
  expect(problems).toEqual([
    'not scheduled: 0/2 nodes are available',
    'container main: CrashLoopBackOff: back-off 1m20s (last end: exit code 137, OOMKilled; 4 restarts)',
  ])
})

test.for([
  ['nothing yet', {}, false],
  [
    'waits for its volumes',
    { containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ContainerCreating' } } }] },
    false,
  ],
  ['has its sandbox', { conditions: [{ type: 'PodReadyToStartContainers', status: 'True' }] }, true],
  [
    'waits for its image',
    { containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ImagePullBackOff' } } }] },
    true,
  ],
  ['has an init container', { initContainerStatuses: [{ name: 'init', containerID: 'containerd://x' }] }, true],
] as const)('a pod that %s: its volumes are there: %s', ([, status, expected]) => {
  expect(hasVolumes({ status })).toBe(expected)
})
