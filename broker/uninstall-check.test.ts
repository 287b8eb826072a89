import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../core/runtime/system-clock.ts'
import { FakeKubernetes } from '../test/fakes/fake-kubernetes.ts'
import { readCommand } from './flags.ts'
import { reportOn, uninstallCheck } from './uninstall-check.ts'

let fake: FakeKubernetes
beforeAll(async () => {
  fake = await FakeKubernetes.start()
})
afterEach(() => {
  fake.fault = undefined
})
afterAll(() => fake.stop())

const check = () => uninstallCheck({ kubeconfig: fake.adminKubeconfig, undo: undefined }, systemClock)
const pod = (name: string, driver: string | undefined, phase = 'Running') => ({
  metadata: { namespace: 'shop', name },
  spec: {
    nodeName: 'node-a',
    volumes: [{ name: 'tmp', emptyDir: {} }, ...(driver ? [{ name: 'v', csi: { driver } }] : [])],
  },
  status: { phase },
})
const PAGES: Record<string, { items: unknown[]; metadata: { continue?: string; resourceVersion: string } }> = {
  '': {
    items: [pod('web', undefined), pod('cart', 'csi.countersign.dev')],
    metadata: { continue: 'a/b+c=', resourceVersion: '7' },
  },
  'a/b+c=': {
    items: [
      pod('other', 'csi.example.org'),
      pod('ended', 'csi.countersign.dev', 'Succeeded'),
      pod('waiting', 'csi.countersign.dev', 'Pending'),
    ],
    metadata: { resourceVersion: '7' },
  },
}

test('names the pods of all pages that use the driver and have not ended', async () => {
  fake.fault = (path) => {
    const next = new URL(path, 'https://fake').searchParams.get('continue') ?? ''
    return { status: 200, body: JSON.stringify(PAGES[next]) }
  }
  const { mayGo, text } = await check()
  expect(mayGo).toBe(false)
  expect(text).toContain(
    '2 pods still use the driver csi.countersign.dev:\n  shop/cart on node-a\n  shop/waiting on node-a\n',
  )
})

test('pods that are too large for one answer keep nobody from being named', async () => {
  const pods = fake.serve('/api/v1/pods')
  for (const name of ['cart', 'till', 'desk']) {
    const { metadata, ...rest } = pod(name, 'csi.countersign.dev')
    pods.put({ metadata: { ...metadata, labels: { x: 'x'.repeat(1_500_000) } }, ...rest })
  }
  expect((await check()).text).toContain('3 pods still use the driver')
  for (const name of ['cart', 'till', 'desk']) pods.delete(name, 'shop')
})

test('where no pod uses the driver it may go', async () => {
  expect(await check()).toMatchObject({ mayGo: true })
})

test('without the rule to list pods it says so, and does not let go', async () => {
  fake.fault = () => ({ status: 403 })
  await expect(check()).rejects.toMatchObject({
    code: 'kubernetes_forbidden',
    message: expect.stringContaining('list pods'),
  })
})

test('a list that is long is cut short', () => {
  const pods = Array.from({ length: 60 }, (_, index) => ({ namespace: 'shop', name: `p${index}`, node: '' }))
  expect(reportOn(pods).text).toContain('  shop/p49\n  and 10 more\n')
})

test('says how Helm is told that all stays as it is', () => {
  const pods = [{ namespace: 'shop', name: 'cart', node: '' }]
  expect(reportOn(pods, 'helm rollback countersign 3').text).toMatch(/upgraded again: helm rollback countersign 3$/)
})

test('is a command of the broker', () => {
  expect(readCommand(['uninstall-check'])).toEqual({ uninstallCheck: {} })
  expect(readCommand(['uninstall-check', '--kubeconfig', '/k', '--undo', 'u'])).toEqual({
    uninstallCheck: { kubeconfig: '/k', undo: 'u' },
  })
  expect(() => readCommand(['uninstall-check', '--data', '/d'])).toThrow('usage')
})
