import { expect, test } from 'vitest'
import { identityTemplateSchema } from './identity-template.ts'
import { reviewTemplates, type SeenPods, type ServedPod, type TemplateObject } from './template-review.ts'
import type { TemplateState } from './template-source.ts'

function object(name: string, spec: object, more: Partial<TemplateObject> = {}): TemplateObject {
  const head = { apiVersion: 'countersign.dev/v1alpha1', kind: 'IdentityTemplate', metadata: { name } }
  return { name, generation: 3, template: identityTemplateSchema.parse({ ...head, spec }), problems: [], ...more }
}

const pod = (
  namespace: string,
  name: string,
  serviceAccount: string,
  labels: Record<string, string> = {},
): ServedPod => ({
  ...{ namespace, name, serviceAccount },
  labels: new Map(Object.entries(labels)),
})
const PODS = [
  pod('shop', 'cart-0', 'cart', { app: 'cart' }),
  pod('shop', 'cart-1', 'cart'),
  pod('bank', 'till-0', 'till'),
]
const SEEN: SeenPods = {
  pods: PODS,
  namespaceLabels: (namespace) => new Map([['team', namespace === 'shop' ? 'blue' : 'red']]),
}

function review(objects: readonly TemplateObject[], seen: SeenPods | 'unseen' = SEEN): readonly TemplateState[] {
  const work = reviewTemplates(objects, seen === 'unseen' ? undefined : seen)
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
  }
}

test.for([
  {
    name: 'all pods, without selectors',
    spec: {},
    serves: { pods: 3, serviceAccounts: ['bank/till', 'shop/cart'] },
    message: 'In force for 3 pods.',
  },
  {
    name: 'a ServiceAccount',
    spec: { serviceAccounts: ['till'] },
    serves: { pods: 1, serviceAccounts: ['bank/till'] },
    message: 'In force for 1 pod.',
  },
  {
    name: 'a namespace by its labels',
    spec: { namespaceSelector: { matchLabels: { team: 'blue' } } },
    serves: { pods: 2, serviceAccounts: ['shop/cart'] },
    message: 'In force for 2 pods.',
  },
  {
    name: 'pods by their labels',
    spec: { podSelector: { matchLabels: { app: 'cart' } } },
    serves: { pods: 1, serviceAccounts: ['shop/cart'] },
    message: 'In force for 1 pod.',
  },
])('counts whom it serves: $name', ({ spec, serves, message }) => {
  expect(review([object('a', spec)])).toEqual([
    { name: 'a', generation: 3, ready: true, reason: 'Valid', message, serves },
  ])
})

test('whom it selects by labels that nobody knows it does not serve, nor does another one', () => {
  const podSelector = { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['till'] }] }
  const seen = { ...SEEN, pods: [...PODS, { ...pod('shop', 'cart-2', 'cart'), labels: undefined }] }
  const states = review(
    [object('a', { serviceAccounts: ['cart'], podSelector }), object('b', { serviceAccounts: ['till'] })],
    seen,
  )
  expect(states).toMatchObject([{ serves: { pods: 2 } }, { serves: { pods: 1 } }])
  expect(review([object('a', { podSelector }), object('b', {})], { ...seen, pods: seen.pods.slice(-1) })).toMatchObject(
    [{ reason: 'NoMatch' }, { reason: 'NoMatch' }],
  )
})

test('one that selects nobody is in force, and says so', () => {
  expect(review([object('a', { serviceAccounts: ['x'] })])).toMatchObject([
    { ready: true, reason: 'NoMatch', serves: { pods: 0, serviceAccounts: [] } },
  ])
})

test('two that claim one pod both say so, each naming the other and a pod; the others they serve', () => {
  const states = review([
    object('a', { serviceAccounts: ['cart', 'till'] }),
    object('b', { serviceAccounts: ['shop/cart'] }),
  ])
  expect(states).toMatchObject([
    {
      ready: false,
      reason: 'Conflict',
      serves: { pods: 1, serviceAccounts: ['bank/till'] },
      message:
        'IdentityTemplate b selects pod shop/cart-0, too: it and 1 more are refused. Narrow the selectors of one of them.',
    },
    {
      ready: false,
      reason: 'Conflict',
      serves: { pods: 0 },
      message: expect.stringContaining('IdentityTemplate a') as unknown,
    },
  ])
})

test('pods that may not be seen are not counted as none', () => {
  const [state] = review([object('a', {})], 'unseen')
  expect(state).toMatchObject({ ready: true, reason: 'Valid', serves: undefined })
  expect(state?.message).toContain('does not see them')
})

const PROBLEMS = [{ path: 'spec.ttl', message: 'is short' }]
test.for([
  { unusable: undefined, says: 'spec.ttl: is short. The last good version stays in force until this is corrected.' },
  { unusable: 'x', says: 'spec.ttl: is short. Pods that it selects are refused until this is corrected.' },
])('an invalid one says what is wrong and what applies: $says', ({ unusable, says }) => {
  const good = object('a', {})
  const template = unusable === undefined ? good.template : { ...good.template, unusable }
  expect(review([{ ...good, template, problems: PROBLEMS }])).toMatchObject([
    { ready: false, reason: 'Invalid', message: says },
  ])
})

test('names no more than twenty ServiceAccounts', () => {
  const pods = Array.from({ length: 100 }, (_, index) => pod('a', `p${index}`, `sa${index}`))
  const [state] = review([object('a', {})], { pods, namespaceLabels: () => undefined })
  expect(state?.serves?.pods).toBe(100)
  expect(state?.serves?.serviceAccounts).toHaveLength(20)
})

test('lets other work in between', () => {
  const pods = Array.from({ length: 1000 }, (_, index) => pod('a', `p${index}`, 'sa'))
  const objects = Array.from({ length: 10 }, (_, index) =>
    object(`t${index}`, { podSelector: { matchLabels: { a: 'b' } } }),
  )
  const work = reviewTemplates(objects, { pods, namespaceLabels: () => undefined })
  let breaths = 0
  while (!work.next().done) breaths += 1
  expect(breaths).toBe(5)
})
