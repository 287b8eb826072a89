import { afterEach, beforeEach, expect, test } from 'vitest'
import { startBroker } from './broker.ts'
import { createLog } from '../core/runtime/log.ts'
import { systemRandom } from '../core/runtime/random.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import type { FakeCollection } from '../test/fakes/fake-kubernetes-collection.ts'
import { FakeKubernetes } from '../test/fakes/fake-kubernetes.ts'
import { connectTo, newCsr } from '../test/fakes/node-client.ts'
import { AUDIENCE, brokerConfig, brokerFolder } from '../test/fakes/running-broker.ts'

const OPTIONS = { timeoutMs: 10_000 }
const AGENT = { namespace: 'countersign-agent', serviceAccount: 'countersign-agent', name: 'agent-a', node: 'node-a' }
const CART = { namespace: 'shop', serviceAccount: 'cart', name: 'cart-0', node: 'node-a' }
const TEMPLATES = '/apis/countersign.dev/v1alpha1/identitytemplates'

let kubernetes: FakeKubernetes
let templates: FakeCollection
const stops: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  kubernetes = await FakeKubernetes.start({ nodes: ['node-a'] })
  templates = kubernetes.serve(TEMPLATES)
  for (const pod of [AGENT, CART]) kubernetes.state.addPod(pod)
})
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
  await kubernetes.stop()
})

const put = (name: string, spec: object) => templates.put({ metadata: { name }, spec })

async function start() {
  const folder = brokerFolder()
  const config = brokerConfig(folder, {
    attestation: { mode: 'tokenReview' },
    kubernetes: { kubeconfig: kubernetes.adminKubeconfig },
    templates: { customResources: true },
  })
  const environment = { clock: systemClock, random: systemRandom, log: createLog('broker', 'silent') }
  const broker = await startBroker(config, environment)
  stops.push(() => broker.stop())
  const ready = async () => (await fetch(`http://127.0.0.1:${broker.operationsPort}/readyz`)).text()

  const stranger = connectTo(broker, folder)
  const { csr, privateKey } = await newCsr()
  const agentToken = kubernetes.tokenOf(AGENT, AUDIENCE)
  const { svid } = await stranger.service.attestNode({ serviceAccountToken: agentToken, csr }, OPTIONS)
  stranger.close()
  const node = connectTo(broker, folder, { chain: svid?.certificateChain ?? [], privateKey })
  stops.push(() => Promise.resolve(node.close()))
  const podUid = kubernetes.state.get('pods', CART).metadata.uid
  /** What a renewal gives: the SPIFFE ID, or the code of a refusal. */
  const renew = async () => {
    const serviceAccountToken = kubernetes.tokenOf(CART, AUDIENCE)
    const request = { requestId: 'r', serviceAccountToken, csr: (await newCsr()).csr, podUid }
    const outcome = (await node.service.issueX509Svids({ requests: [request] }, OPTIONS)).results[0]?.outcome
    return outcome?.case === 'svid' ? outcome.value.spiffeId : outcome?.value?.code
  }
  return { ready, renew }
}

test('before the templates have been read the broker is not ready, and nobody gets the built-in identity', async () => {
  put('team', { spiffeId: 'spiffe://{{ trustDomain }}/team/{{ serviceAccount }}' })
  kubernetes.fault = (path) => (path.startsWith(TEMPLATES) ? { status: 403, body: '{}' } : undefined)
  const { ready, renew } = await start()
  expect(await renew()).toBe('kubernetes_unavailable')
  await expect.poll(ready).toContain('have not been read from the API server yet: the API server forbids list')
  kubernetes.fault = undefined
  await expect.poll(ready, { timeout: 10_000 }).toBe('ok\n')
  expect(await renew()).toBe('spiffe://prod.example/team/cart')
})

test('an edit under a running pod is in force with its next renewal', async () => {
  put('team', { spiffeId: 'spiffe://{{ trustDomain }}/old/{{ serviceAccount }}' })
  const { ready, renew } = await start()
  await expect.poll(ready).toBe('ok\n')
  expect(await renew()).toBe('spiffe://prod.example/old/cart')
  put('team', { spiffeId: 'spiffe://{{ trustDomain }}/new/{{ serviceAccount }}' })
  await expect.poll(renew).toBe('spiffe://prod.example/new/cart')
  // Broken: the last good version stays.
  put('team', { ttl: '1s' })
  await expect
    .poll(() => templates.objects.get('team')?.['status'], { timeout: 10_000 })
    .toMatchObject({
      conditions: [{ reason: 'Invalid', status: 'False' }],
    })
  expect(await renew()).toBe('spiffe://prod.example/new/cart')
  put('team', { serviceAccounts: ['till'] })
  await expect.poll(renew).toBe('template_not_matched')
  put('other', {})
  await expect.poll(renew).toBe('spiffe://prod.example/ns/shop/sa/cart')
  put('team', {})
  await expect.poll(renew).toBe('template_ambiguous')
  templates.delete('other')
  templates.delete('team')
  await expect.poll(renew).toBe('spiffe://prod.example/ns/shop/sa/cart')
})

test('a template that was never good claims its pods: another one does not serve them instead', async () => {
  put('broken', { ttl: '1s', serviceAccounts: ['shop/cart'] })
  const { ready, renew } = await start()
  await expect.poll(ready).toBe('ok\n')
  expect(await renew()).toBe('object_invalid')
  put('broken', { ttl: '10m', serviceAccounts: ['shop/cart'] })
  await expect.poll(renew).toBe('spiffe://prod.example/ns/shop/sa/cart')
})

test('what was read stays in force while the templates cannot be read', async () => {
  put('team', { spiffeId: 'spiffe://{{ trustDomain }}/team/{{ serviceAccount }}' })
  const { ready, renew } = await start()
  await expect.poll(ready).toBe('ok\n')
  kubernetes.fault = (path) => (path.startsWith(TEMPLATES) ? 'reset' : undefined)
  kubernetes.dropConnections()
  await expect.poll(() => templates.openWatches).toBe(0)
  expect(await renew()).toBe('spiffe://prod.example/team/cart')
  expect(await ready()).toBe('ok\n')
})
