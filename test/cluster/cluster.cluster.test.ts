import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attachCluster } from './attach.ts'
import type { Cluster } from './cluster.ts'
import { BUSYBOX_IMAGE, OPENSSL_IMAGE, SPIFFE_PROBE_IMAGE } from './images/catalog.ts'
import { API_SERVER_PORT, NETWORK, NODES } from './layout.ts'

const NAMESPACE = 'cluster-test'
let cluster: Cluster

beforeAll(async () => {
  cluster = await attachCluster()
  await cluster.createNamespace(NAMESPACE)
})

afterAll(async () => {
  await cluster.deleteNamespace(NAMESPACE)
})

function pod(name: string, nodeName: string, container: object, labels: Record<string, string> = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels },
    spec: { nodeName, terminationGracePeriodSeconds: 0, containers: [{ name: 'main', ...container }] },
  }
}

const idle = { image: BUSYBOX_IMAGE, command: ['sleep', '3600'] }

test('both nodes are ready and run the same Kubernetes', async () => {
  const nodes = JSON.parse(await cluster.kubectl(['get', 'nodes', '-o', 'json']))
  const versions = nodes.items.map(
    (node: { status: { nodeInfo: { kubeletVersion: string } } }) => node.status.nodeInfo.kubeletVersion,
  )
  expect(versions).toEqual(['v1.37.1', 'v1.37.1'])
  await Promise.all(cluster.nodes.map((node) => node.waitUntilReady()))
})

test.for(NODES.map((node) => node.name))('the scheduler places a pod on %s, exec and logs reach it', async (node) => {
  const name = `placed-${node}`
  const command = ['sh', '-c', 'echo started; exec sleep 3600']
  await cluster.apply({
    ...pod(name, '', { image: BUSYBOX_IMAGE, command }),
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node },
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: BUSYBOX_IMAGE, command }],
    },
  })
  const { spec } = await cluster.waitUntilPodReady(NAMESPACE, name)
  expect(spec.nodeName).toBe(node)
  expect(await cluster.podLogs(NAMESPACE, name)).toBe('started\n')
  const { code, stdout } = await cluster.exec(NAMESPACE, name, ['sh', '-c', 'hostname; exit 7'])
  expect({ code, stdout }).toEqual({ code: 7, stdout: `${name}\n` })
})

describe('Services', () => {
  beforeAll(async () => {
    const command = ['sh', '-c', 'mkdir /w && hostname > /w/index.html && exec httpd -f -p 8080 -h /w']
    const readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1 }
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: NAMESPACE },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    }
    await cluster.apply([
      service,
      pod('web', 'node-b', { image: BUSYBOX_IMAGE, command, readinessProbe }, { app: 'web' }),
      pod('client-a', 'node-a', idle),
      pod('client-b', 'node-b', idle),
      pod('openssl', 'node-a', { image: OPENSSL_IMAGE, command: ['sleep', '3600'] }),
    ])
    await Promise.all(
      ['web', 'client-a', 'client-b', 'openssl'].map((name) => cluster.waitUntilPodReady(NAMESPACE, name)),
    )
  })

  test.for(['client-a', 'client-b'])('%s reaches a pod of node-b by the DNS name of its Service', async (client) => {
    const fetch = ['timeout', '10', 'wget', '-q', '-O-', `http://web.${NAMESPACE}.svc.cluster.local/`]
    expect(await cluster.exec(NAMESPACE, client, fetch)).toMatchObject({ code: 0, stdout: 'web\n' })
  })

  test('this machine reaches it by its ClusterIP', async () => {
    const service = await cluster.api<{ spec: { clusterIP: string } }>(
      'GET',
      `/api/v1/namespaces/${NAMESPACE}/services/web`,
    )
    const response = await fetch(`http://${service.spec.clusterIP}/`, { signal: AbortSignal.timeout(10_000) })
    expect(await response.text()).toBe('web\n')
  })

  test('a pod reaches the API server by its Service, and trusts its certificate', async () => {
    const ca = '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt'
    const connect = `openssl s_client -connect kubernetes.default.svc:443 -CAfile ${ca} -verify_return_error -brief </dev/null`
    const { stderr } = await cluster.exec(NAMESPACE, 'openssl', ['timeout', '10', 'sh', '-c', connect])
    expect(stderr).toContain('Verification: OK')
  })

  test('a pod reaches this machine', async () => {
    const { code, stdout } = await cluster.exec(NAMESPACE, 'client-b', ['ping', '-c', '1', '-W', '5', cluster.hostIp])
    expect({ code, stdout }).toMatchObject({ code: 0 })
  })
})

test('the image of the SPIFFE probe runs it', async () => {
  const container = { name: 'main', image: SPIFFE_PROBE_IMAGE, args: ['-once', '-timeout', '1s'] }
  const probe = pod('probe', 'node-a', {})
  await cluster.apply({ ...probe, spec: { nodeName: 'node-a', restartPolicy: 'Never', containers: [container] } })
  await cluster.waitForPod(NAMESPACE, 'probe', ({ status }) => status.phase === 'Failed')
  // There is no Workload API in this pod.
  expect(await cluster.podLogs(NAMESPACE, 'probe')).toContain('spiffe-probe: fetch X.509-SVID')
})

test.for(NODES.map((node) => node.name))('a token bound to a pod carries its node, %s', async (node) => {
  const serviceAccount = 'agent'
  const audience = 'countersign.dev/test.example'
  const name = await cluster.createPlaceholderPod({ namespace: NAMESPACE, serviceAccount, node })
  const token = await cluster.createToken({ namespace: NAMESPACE, serviceAccount, audience, pod: name })
  const review = await cluster.api<{ status: object }>('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token, audiences: [audience] },
  })
  const { metadata } = await cluster.pod(NAMESPACE, name)
  expect(review.status).toMatchObject({
    authenticated: true,
    audiences: [audience],
    user: {
      username: `system:serviceaccount:${NAMESPACE}:${serviceAccount}`,
      extra: {
        'authentication.kubernetes.io/node-name': [node],
        'authentication.kubernetes.io/pod-name': [name],
        'authentication.kubernetes.io/pod-uid': [metadata.uid],
      },
    },
  })
})

test.for(NODES.map((node) => node.name))('what a process mounts on %s is seen there and nowhere else', async (node) => {
  const { kubeletRoot } = cluster.node(node)
  const dir = `${kubeletRoot}/mount-test`
  const script = `mkdir -p ${dir} && mount -t tmpfs test ${dir} && echo seen > ${dir}/file && cat ${dir}/file`
  expect(await cluster.node(node).run('sh', ['-c', script])).toMatchObject({ code: 0, stdout: 'seen\n' })
  const other = NODES.find((other) => other.name !== node)?.name ?? node
  expect(await cluster.node(other).run('cat', [`${dir}/file`])).toMatchObject({ code: 1 })
  expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(dir)
  expect(await readFile(cluster.node(node).insidePath(`${dir}/file`), 'utf8')).toBe('seen\n')
  await cluster.node(node).run('sh', ['-c', `umount ${dir} && rmdir ${dir}`])
})

test('a spawned process has its own number, and dies when told to', async () => {
  const child = cluster.node('node-b').spawn('sh', ['-c', 'echo $$; exec sleep 3600'])
  const printed = await new Promise((resolve) => child.stdout?.once('data', (data: Buffer) => resolve(Number(data))))
  expect(printed).toBe(child.pid)
  const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)))
  child.kill('SIGTERM')
  expect(await ended).toBe('SIGTERM')
})

test('the keys that sign tokens are published', async () => {
  const { keys } = await cluster.jwks()
  expect(keys).toMatchObject([{ kty: 'RSA', alg: 'RS256', use: 'sig' }])
})

test('kubelet restarts and pods stay', async () => {
  await cluster.apply(pod('stays', 'node-b', idle))
  const before = await cluster.waitUntilPodReady(NAMESPACE, 'stays')
  await cluster.node('node-b').restartKubelet()
  const after = await cluster.waitUntilPodReady(NAMESPACE, 'stays')
  expect(after.status.containerStatuses).toMatchObject([{ restartCount: 0 }])
  expect(after.metadata.uid).toBe(before.metadata.uid)
})

test('the API server goes away and comes back', async () => {
  await cluster.stopApiServer()
  // Not a moment later: a port that a dying process still holds would stop its successor.
  const socket = connect(API_SERVER_PORT, NETWORK.controlPlane)
  await expect(once(socket, 'connect')).rejects.toThrow('ECONNREFUSED')
  await cluster.startApiServer()
  expect(await cluster.request('GET', '/readyz')).toMatchObject({ status: 200 })
})
