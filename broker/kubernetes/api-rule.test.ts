import { expect, test } from 'vitest'
import { nameOfRule, ruleOf, yamlOfRule } from './api-rule.ts'

test.for([
  ['POST', '/apis/authentication.k8s.io/v1/tokenreviews', 'create tokenreviews (authentication.k8s.io)'],
  ['GET', '/api/v1/pods?limit=100', 'list pods'],
  ['GET', '/api/v1/pods?watch=true&resourceVersion=1', 'watch pods'],
  ['GET', '/api/v1/namespaces/shop/pods/cart-0', 'get pods in namespace shop'],
  ['GET', '/api/v1/namespaces/shop', 'get namespaces'],
  ['GET', '/api/v1/namespaces', 'list namespaces'],
  ['GET', '/api/v1/namespaces/shop/pods', 'list pods in namespace shop'],
  [
    'PATCH',
    '/apis/countersign.dev/v1alpha1/identitytemplates/web/status?fieldManager=x',
    'patch identitytemplates/status (countersign.dev)',
  ],
  ['PUT', '/api/v1/namespaces/a/configmaps/b', 'update configmaps in namespace a'],
  ['DELETE', '/api/v1/namespaces/a/configmaps/b', 'delete configmaps in namespace a'],
  ['DELETE', '/api/v1/namespaces/a/configmaps', 'deletecollection configmaps in namespace a'],
  ['GET', '/openid/v1/jwks', 'get /openid/v1/jwks'],
] as const)('%s %s needs %s', ([method, path, rule]) => {
  expect(nameOfRule(ruleOf(method, path))).toBe(rule)
})

test('writes a rule as a role has it', () => {
  expect(yamlOfRule(ruleOf('GET', '/api/v1/pods'))).toBe('{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }')
  expect(yamlOfRule(ruleOf('GET', '/openid/v1/jwks'))).toBe('{ nonResourceURLs: ["/openid/v1/jwks"], verbs: ["get"] }')
})
