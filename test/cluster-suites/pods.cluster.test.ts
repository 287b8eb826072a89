import { access, readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attachCluster } from '../cluster/attach.ts'
import { waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { BUSYBOX_IMAGE, OPENSSL_IMAGE, SPIFFE_PROBE_IMAGE } from '../cluster/images/catalog.ts'
import type { NodeName } from '../cluster/layout.ts'
import { createNamespaceWith, identityPod, type IdentityPodOptions, templateFor, volumeName } from './identity-pod.ts'
import { installCountersign, type Installation } from './installation.ts'
import { mountedTargets, volumesOf } from './pod-volume.ts'

const NAMESPACE = 'pods-suite'
const PORT = 8443
/** Pods of many volumes, as many of them on each node. */
const CROWD = process.env['COUNTERSIGN_SOAK'] ? { pods: 50, volumes: 1 } : { pods: 5, volumes: 10 }

let cluster: Cluster
let installation: Installation | undefined

const idOf = (serviceAccount: string) => `spiffe://prod.example/ns/${NAMESPACE}/sa/${serviceAccount}`
const pod = (name: string, node: NodeName, change: Partial<IdentityPodOptions> = {}) =>
  identityPod({ namespace: NAMESPACE, serviceAccount: 'usual', name, node, ...change })
const shell = (script: string) => ({ command: ['sh', '-c', script] })
const inPod = (name: string, script: string) =>
  cluster.exec(NAMESPACE, name, ['timeout', '15', 'sh', '-c', script]).then(({ code, stdout, stderr }) => ({
    code,
    said: `${stdout}${stderr}`,
  }))

const FIRST_STEPS = `
  test -s /identity/tls.crt && test -s /identity/tls.key && test -s /identity/ca.crt && echo files
  test -s /identity/credential-bundle.pem && test -s /identity/prod.example.spiffe-trust-bundle.pem && echo bundles
  test -S /identity/socket && echo socket
  id -u; touch /identity/x /x 2>/dev/null || echo read-only
  exec sleep 3600`
const SERVE = `exec openssl s_server -accept ${PORT} -cert /identity/tls.crt -key /identity/tls.key
  -CAfile /identity/ca.crt -Verify 2 -verify_return_error -tls1_3 -www`.replaceAll('\n', ' ')
/** None of these exists in a volume: kubelet makes them there before the container that names them starts. */
const SUB_PATHS = ['..data_next', '..data/evil', '..2/x', '..3/tls.key/x', '..socket_next', `x${'/x'.repeat(200)}`]
/** The next generations. A folder in one of them gets a name that is no UTF-8, of which no container is made; kubelet has by then. */
const NEXT = ['..2', '..3', '..4', '..5', '..6']
const MODES = 'cd /identity; stat -L -c "%n %a %g" tls.crt tls.key credential-bundle.pem ca.crt socket; exec sleep 3600'

beforeAll(async () => {
  cluster = await attachCluster()
  const issuance = { minTtl: '2s' }
  installation = await installCountersign(cluster, {
    issuance,
    templates: [templateFor('usual', '1h'), templateFor('short', '6s')],
  })
  await createNamespaceWith(cluster, NAMESPACE, ['usual', 'short'])
  await cluster.apply([
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'octet', namespace: NAMESPACE }, data: { ff: '/w==' } },
    pod('no-utf8', 'node-a', {
      serviceAccount: 'short',
      spec: {
        initContainers: [
          {
            name: 'sub-paths',
            image: BUSYBOX_IMAGE,
            command: ['true'],
            env: [{ name: 'OCTET', valueFrom: { secretKeyRef: { name: 'octet', key: 'ff' } } }],
            volumeMounts: NEXT.map((generation, index) => ({
              name: volumeName(0),
              mountPath: `/sub-path-${index}`,
              subPathExpr: `${generation}/$(OCTET)`,
              readOnly: true,
            })),
          },
        ],
      },
    }),
    pod('first-steps', 'node-a', shell(FIRST_STEPS)),
    pod('server', 'node-b', { image: OPENSSL_IMAGE, ...shell(SERVE) }),
    pod('client', 'node-a', { image: OPENSSL_IMAGE }),
    pod('probe', 'node-b', {
      serviceAccount: 'short',
      image: SPIFFE_PROBE_IMAGE,
      args: ['-rotations', '3', '-timeout', '60s'],
      spec: { restartPolicy: 'Never' },
    }),
    pod('anybody', 'node-b', shell(MODES)),
    pod('grouped', 'node-b', {
      ...shell(MODES),
      spec: { securityContext: { runAsNonRoot: true, runAsUser: 1234, runAsGroup: 1234, fsGroup: 2000 } },
    }),
    pod('again', 'node-a'),
    pod('in-the-way', 'node-a', {
      serviceAccount: 'short',
      spec: {
        initContainers: [
          {
            name: 'sub-paths',
            image: BUSYBOX_IMAGE,
            command: ['true'],
            volumeMounts: SUB_PATHS.map((subPath, index) => ({
              name: volumeName(0),
              mountPath: `/sub-path-${index}`,
              subPath,
              readOnly: true,
            })),
          },
        ],
      },
    }),
  ])
  await Promise.all(
    ['first-steps', 'server', 'client', 'anybody', 'grouped', 'again', 'in-the-way'].map((name) =>
      cluster.waitUntilPodReady(NAMESPACE, name),
    ),
  )
})

afterAll(async () => {
  await cluster.deleteNamespace(NAMESPACE)
  await installation?.stop()
})

test('a container finds files and socket before its first instruction, and can change nothing', async () => {
  expect(await cluster.podLogs(NAMESPACE, 'first-steps')).toBe('files\nbundles\nsocket\n1234\nread-only\n')
})

describe('OpenSSL', () => {
  test('verifies the certificate in the pod, and finds the identity', async () => {
    const { said } = await inPod(
      'client',
      `openssl verify -x509_strict -CAfile /identity/ca.crt /identity/tls.crt
       openssl x509 -in /identity/tls.crt -noout -ext subjectAltName
       openssl pkey -in /identity/tls.key -noout -check`,
    )
    expect(said).toContain('/identity/tls.crt: OK')
    expect(said).toContain(`URI:${idOf('usual')}`)
    expect(said).toContain('Key is valid')
  })

  const connect = async (certificate: string) => {
    const { status } = await cluster.pod(NAMESPACE, 'server')
    return inPod(
      'client',
      `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect ${status.podIP}:${PORT} ${certificate} \
       -CAfile /identity/ca.crt -verify_return_error -ign_eof`,
    )
  }

  test('holds mutual TLS between two pods on two nodes', async () => {
    const { said } = await connect('-cert /identity/tls.crt -key /identity/tls.key')
    expect(said).toContain('Verify return code: 0 (ok)')
    // The page of s_server, which shows what it took the client for.
    expect(said).toContain('HTTP/1.0 200 ok')
    expect(said).toMatch(/Client certificate[^]*Subject Alternative Name[^]*sa\/usual/)
  })

  test('is refused without a certificate', async () => {
    const { said } = await connect('')
    expect(said).toContain('certificate required')
    expect(said).not.toContain('200 ok')
  })
})

test.for([
  ['anybody', 'tls.crt 444 0', 'tls.key 444 0', 'credential-bundle.pem 444 0', 'ca.crt 444 0', 'socket 777 0'],
  ['grouped', 'tls.crt 444 0', 'tls.key 440 2000', 'credential-bundle.pem 440 2000', 'ca.crt 444 0', 'socket 770 2000'],
])('the files of %s', async ([name = '', ...modes]) => {
  expect((await cluster.podLogs(NAMESPACE, name)).trim().split('\n')).toEqual(modes)
})

test('the folders that kubelet makes in a volume for a subPath hold up no renewal, and do not stay in the way', async () => {
  const renews = async (name: string) => {
    const [volume] = await volumesOf(cluster, NAMESPACE, name)
    if (!volume) throw new Error('no volume')
    // By then kubelet has made them.
    const path = 'jsonpath={.status.initContainerStatuses[0].state}'
    const state = () => cluster.kubectl(['get', 'pod', name, '--namespace', NAMESPACE, '--output', path])
    await expect.poll(state, { timeout: 20_000 }).toMatch(/terminated|CreateContainer|RunContainer/)
    let serialNumber = await volume.serialNumber()
    for (let renewals = 0; renewals < 3; renewals += 1) {
      serialNumber = (await volume.renewedAfter(serialNumber)).serialNumber
    }
    // Two generations, and the link to the one in force. The place of the next socket is in the way once there is one.
    const stands = async () => (await readdir(volume.path)).filter((entry) => /^\.\.(?:\d+|data.*)$/.test(entry)).length
    await expect.poll(stands, { timeout: 10_000 }).toBe(3)
    await expect
      .poll(async () => (await volume.fetchSerialNumber()) === (await volume.serialNumber()), { timeout: 10_000 })
      .toBe(true)
  }
  await Promise.all(['in-the-way', 'no-utf8'].map(renews))
})

test('a pod that is deleted leaves nothing, and its successor gets another key', async () => {
  const [before] = await volumesOf(cluster, NAMESPACE, 'again')
  if (!before) throw new Error('no volume')
  const held = await before.leaf()
  await cluster.kubectl(['delete', 'pod', 'again', '--namespace', NAMESPACE, '--timeout=30s'])
  // Without a grace period the object is gone before the pod is.
  await waitFor(
    'the volume to be gone',
    async () => !(await mountedTargets(cluster.node('node-a'))).includes(before.targetPath),
  )
  await expect
    .poll(() =>
      access(before.path).then(
        () => 'there',
        (error: NodeJS.ErrnoException) => error.code,
      ),
    )
    .toBe('ENOENT')
  await cluster.apply(pod('again', 'node-a'))
  await cluster.waitUntilPodReady(NAMESPACE, 'again')
  const [after] = await volumesOf(cluster, NAMESPACE, 'again')
  const leaf = await after?.leaf()
  expect(leaf?.uris).toEqual(held.uris)
  expect(leaf?.serialNumber).not.toBe(held.serialNumber)
  expect(leaf?.spki.equals(held.spki)).toBe(false)
})

test('a hundred volumes that kubelet publishes at once all get their identities', async () => {
  const nodes: NodeName[] = ['node-a', 'node-b']
  const names = nodes.flatMap((node) =>
    Array.from({ length: CROWD.pods }, (_, index) => ({ node, name: `${node}-${index}` })),
  )
  const start = performance.now()
  await cluster.apply(names.map(({ node, name }) => pod(name, node, { volumes: CROWD.volumes })))
  const volumes = (
    await Promise.all(names.map(({ name }) => volumesOf(cluster, NAMESPACE, name, CROWD.volumes)))
  ).flat()
  const mounted = await waitFor('all volumes to be mounted', async () => {
    const targets = (await Promise.all(cluster.nodes.map(mountedTargets))).flat()
    return volumes.every(({ targetPath }) => targets.includes(targetPath)) && targets
  })
  const tookMs = Math.round(performance.now() - start)
  expect(new Set(mounted).size).toBe(mounted.length)
  await Promise.all(names.map(({ name }) => cluster.waitUntilPodReady(NAMESPACE, name, { timeout: 150_000 })))
  const leaves = await Promise.all(volumes.map((volume) => volume.leaf()))
  expect(new Set(leaves.map(({ serialNumber }) => serialNumber)).size).toBe(100)
  expect(new Set(leaves.flatMap(({ uris }) => uris))).toEqual(new Set([idOf('usual')]))
  expect(volumes.map(({ name }) => name)).toContain(volumeName(CROWD.volumes - 1))
  for (const agent of installation?.agents ?? []) {
    const metrics = await agent.metrics()
    const ms = (quantile: number) =>
      (metrics.quantile('countersign_agent_first_publish_seconds', quantile) * 1000).toFixed(0)
    process.stdout.write(`${agent.node.name}: NodePublish to ready p50 ${ms(0.5)} ms, p99 ${ms(0.99)} ms\n`)
  }
  process.stdout.write(`100 volumes of ${names.length} pods were mounted ${tookMs} ms after kubectl apply began\n`)
})

// Last, since it has been going on all the while.
test('go-spiffe sees three rotations on the socket', async () => {
  const { status } = await cluster.waitForPod(
    NAMESPACE,
    'probe',
    ({ status }) => status.phase === 'Succeeded' || status.phase === 'Failed',
  )
  const lines = (await cluster.podLogs(NAMESPACE, 'probe')).trim().split('\n')
  const seen = lines.map((line) => JSON.parse(line) as { spiffeId: string; serial: string; rotation: number })
  expect(status.phase).toBe('Succeeded')
  expect(seen.map(({ rotation }) => rotation)).toEqual([0, 1, 2, 3])
  expect(new Set(seen.map(({ serial }) => serial)).size).toBe(4)
  expect(new Set(seen.map(({ spiffeId }) => spiffeId))).toEqual(new Set([idOf('short')]))
})
