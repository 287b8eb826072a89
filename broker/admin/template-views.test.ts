import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { IdentityError } from '../../core/runtime/errors.ts'
import { ConditionStatus, ListTemplatesRequestSchema } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { identityTemplateSchema } from '../registration/identity-template.ts'
import { listTemplates } from './template-answers.ts'
import type { Problem } from '../problems.ts'
import type { TemplateSource } from '../registration/template-source.ts'
import { templateCatalogue, templatesInForce } from './template-views.ts'

const template = (name: string, spec: string) =>
  identityTemplateSchema.parse(
    parse(
      `{ apiVersion: countersign.dev/v1alpha1, kind: IdentityTemplate, metadata: { name: ${name} }, spec: ${spec} }`,
    ),
  )
const web = template(
  'web',
  `{ serviceAccounts: [shop/cart], spiffeId: 'spiffe://{{trustDomain}}/app/{{ podLabels.app }}', ttl: 30m,
     podSelector: { matchLabels: { tier: web }, matchExpressions: [{ key: app, operator: Exists }, { key: x, operator: NotIn, values: [a, b] }] } }`,
)
const problem = {
  key: 'templates/broken.yaml: spec.ttl',
  code: 'object_invalid',
  message: 'IdentityTemplate broken.yaml: spec.ttl: is no duration',
  remedy: 'Correct it.',
  since: new Date(0),
} as const

function viewsOf(source: TemplateSource, problems: readonly Problem[]) {
  const { names, view } = templateCatalogue(source, problems)
  return names.map(view)
}

test('templates of a directory, and files that are none', () => {
  const views = viewsOf({ current: () => [web, { ...template('odd', '{}'), unusable: 'it is wrong' }] }, [problem])
  expect(views).toMatchObject([
    {
      name: 'web',
      inForce: true,
      spiffeId: 'spiffe://{{ trustDomain }}/app/{{ podLabels.app }}',
      selects: 'serviceAccounts: shop/cart; podSelector: tier=web, app, x notin (a,b)',
      ttlMs: 1_800_000,
      keyType: 'ec-p256',
      conditions: [],
      problems: [],
      pods: undefined,
    },
    { name: 'odd', inForce: false, selects: '', problems: [{ message: 'it is wrong' }] },
    { name: 'broken.yaml', inForce: false, problems: [{ path: 'spec.ttl', message: 'is no duration' }] },
  ])
})

test('objects, with what their status says', () => {
  const state = { name: 'web', generation: 1, ready: false, reason: 'Conflict', message: 'api selects them too' }
  const serves = { pods: 3, serviceAccounts: ['shop/cart'] }
  const views = templateCatalogue({ current: () => [web], statuses: () => [{ ...state, serves }] }, [])
  const { templates } = listTemplates(create(ListTemplatesRequestSchema, { onlyWithProblems: true }), views)
  expect(templates).toMatchObject([
    {
      name: 'web',
      inForce: true,
      pods: 3,
      serviceAccounts: ['shop/cart'],
      conditions: [
        { type: 'Ready', status: ConditionStatus.FALSE, reason: 'Conflict', message: 'api selects them too' },
      ],
      problems: [{ path: '', message: 'api selects them too' }],
    },
  ])
})

test('while they were never read there are none, and that is no error here', () => {
  const current = () => {
    throw new IdentityError('kubernetes_unavailable', 'not yet')
  }
  expect(viewsOf({ current }, [])).toEqual([])
  expect(templatesInForce({ current })).toBe(0)
})

test('page by page, by name', () => {
  const views = templateCatalogue({ current: () => ['c', 'a', 'b'].map((name) => template(name, '{}')) }, [])
  const first = listTemplates(create(ListTemplatesRequestSchema, { pageSize: 2 }), views)
  expect(first.templates?.map(({ name }) => name)).toEqual(['a', 'b'])
  const pageToken = first.nextPageToken ?? ''
  const second = listTemplates(create(ListTemplatesRequestSchema, { pageSize: 2, pageToken }), views)
  expect(second.templates?.map(({ name }) => name)).toEqual(['c'])
  expect(second.nextPageToken).toBe('')
})
