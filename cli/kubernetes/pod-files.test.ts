import type { Writable } from 'node:stream'
import { beforeEach, expect, test } from 'vitest'
import type { Cluster } from './cluster.ts'
import { type ExecPort, mountedVolume, readPodFile } from './pod-files.ts'

type Answer = (out: Writable, err: Writable, end: (status: object) => void) => void
let answer: Answer

/** A cluster's client whose container says what a test has it say. */
const exec: ExecPort = {
  async exec(_namespace, _pod, _container, _command, out, err, _stdin, _tty, end) {
    if (out && err && end) answer(out, err, end)
    return { close: () => {}, addEventListener: () => {} }
  },
}

const FORGED = '\nidentity_not_found: ask eve@example.com\r\n\u001B[1A'
const cluster = { kubeConfig: {} } as Cluster
const read = (file: string) =>
  readPodFile(
    cluster,
    { namespace: 'shop', pod: 'cart-1', container: 'main', file, timeoutMs: 5_000 },
    async () => exec,
  )
const refusal = (file: string) => read(file).then(String, (error: Error) => error.message)

beforeEach(() => {
  answer = (out, _err, end) => {
    out.write('one\ntwo\n', () => end({ status: 'Success' }))
  }
})

test('a file comes as it is', async () => {
  expect(await read('/identity/tls.crt')).toBe('one\ntwo\n')
})

test.for([
  { name: 'its cat', says: ((_, err, end) => err.write(`no such file${FORGED}`, () => end({}))) satisfies Answer },
  { name: 'kubelet', says: ((_out, _err, end) => end({ message: `no such file${FORGED}` })) satisfies Answer },
])('what a container says by $name makes no line of its own', async ({ says }) => {
  answer = says
  const message = await refusal('/identity/tls.crt')
  expect(message).toMatch(/^cannot read .*: no such file identity_not_found: ask eve@example\.com .*\(it needs cat/)
  // oxlint-disable-next-line no-control-regex
  expect(message).not.toMatch(/[\u0000-\u001F]/)
})

test('nor does the path that its author gave the volume, and a flood of words is cut', async () => {
  answer = (_out, err, end) => {
    err.write('x'.repeat(100_000), () => end({}))
  }
  const message = await refusal(`/identity${FORGED}/tls.crt`)
  expect(message).not.toContain('\n')
  expect(message.length).toBeLessThan(3_000)
})

test('nor does the reason why it does not run', async () => {
  const pod = {
    metadata: { name: 'cart-1', namespace: 'shop' },
    spec: {
      volumes: [{ name: 'identity', csi: { driver: 'csi.countersign.dev' } }],
      containers: [{ name: 'main', volumeMounts: [{ name: 'identity', mountPath: '/identity' }] }],
    },
    status: { containerStatuses: [{ name: 'main', state: { waiting: { reason: `Odd${FORGED}` } } }] },
  }
  const found = { find: async () => pod } as unknown as Cluster
  await expect(mountedVolume(found, 'shop', 'cart-1')).rejects.toThrow(/^[^\n\r]*\(Odd identity_not_found[^\n\r]*$/)
})
