/** The way of the `countersign` command to the broker, through API server and kubelet into a pod. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster as Access, openCluster } from '../cli/kubernetes/cluster.ts'
import { forwardPort } from '../cli/kubernetes/port-forward.ts'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster } from './cluster/cluster.ts'
import { BUSYBOX_IMAGE } from './cluster/images/catalog.ts'

const NAMESPACE = 'cli-port-forward'
const PORT = 8080
const SERVE = `head -c 3000000 /dev/urandom | base64 > /tmp/large; sha256sum /tmp/large | cut -d' ' -f1; exec busybox httpd -f -p ${PORT} -h /tmp`

let cluster: Cluster
let access: Access

beforeAll(async () => {
  cluster = await attachCluster()
  access = await openCluster({ kubeconfig: cluster.adminKubeconfig, requestTimeoutMs: 10_000 })
  await cluster.createNamespace(NAMESPACE)
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: NAMESPACE, name: 'server' },
    spec: {
      nodeName: 'node-b',
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: BUSYBOX_IMAGE, command: ['sh', '-c', SERVE] }],
    },
  })
  await cluster.waitUntilPodReady(NAMESPACE, 'server')
})

afterAll(() => cluster.deleteNamespace(NAMESPACE))

const get = (address: string) => fetch(`http://${address}/large`).then((response) => response.text())

test('what a pod sends arrives whole, over as many connections as one likes', async () => {
  const forward = await forwardPort(access, { namespace: NAMESPACE, pod: 'server', port: PORT })
  const expected = (await cluster.podLogs(NAMESPACE, 'server')).trim()
  try {
    for (const body of await Promise.all([get(forward.address), get(forward.address)])) {
      expect(createHash('sha256').update(body).digest('hex')).toBe(expected)
    }
    expect(forward.failure()).toBeUndefined()
  } finally {
    forward.close()
  }
})

test.for([
  ['a port where nobody listens', 'server', 9, /refused|failed to connect|cannot be forwarded/],
  ['a pod that is not there', 'nobody', PORT, /pod .*nobody/],
] as const)('%s', async ([, pod, port, says]) => {
  const forward = await forwardPort(access, { namespace: NAMESPACE, pod, port })
  const [host, local] = forward.address.split(':')
  const socket = connect(Number(local), host).on('error', () => {})
  socket.write('x')
  await once(socket, 'close')
  forward.close()
  expect(forward.failure()).toMatchObject({
    code: 'broker_unavailable',
    message: expect.stringMatching(says) as string,
  })
})
