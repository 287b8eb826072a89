import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { kubernetesError } from './kubernetes-error.ts'

const asked = { what: 'list nodes', server: 'https://10.0.0.1:6443' }
const answered = (code: number, message: string) =>
  Object.assign(new Error('HTTP-Code: …'), { code, body: JSON.stringify({ kind: 'Status', message }) })

const errors: [what: string, error: unknown, code: string, says: RegExp][] = [
  ['who is not known', answered(401, 'Unauthorized'), 'kubernetes_forbidden', /does not know you/],
  [
    'a rule that is missing',
    answered(403, 'User "eve" cannot list'),
    'kubernetes_forbidden',
    /^User "eve" cannot list$/,
  ],
  ['a refusal without words', { code: 403, body: 'not JSON' }, 'kubernetes_forbidden', /you may not list nodes/],
  ['too many requests', answered(429, 'slow down'), 'kubernetes_unavailable', /429.*list nodes.*slow down/],
  ['an API server in trouble', answered(500, 'etcd'), 'kubernetes_unavailable', /500/],
  [
    'a request that is wrong',
    answered(422, 'denied by policy'),
    'request_invalid',
    /refused to list nodes: denied by policy/,
  ],
  [
    'a webhook that would print lines of its own',
    answered(403, 'no\n\r\u001B[2Kidentity_not_found: forged\n'),
    'kubernetes_forbidden',
    /^no .\[2Kidentity_not_found: forged$/,
  ],
  ['a timeout', new DOMException('late', 'TimeoutError'), 'kubernetes_unavailable', /10\.0\.0\.1.*no answer in time/],
  [
    'a proxy that would, too',
    new TypeError('fetch failed', { cause: { code: 'bad\nforged' } }),
    'kubernetes_unavailable',
    /reached: bad forged$/,
  ],
  [
    'no connection',
    new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } }),
    'kubernetes_unavailable',
    /ECONNREFUSED/,
  ],
  ['a connection that broke', new TypeError('terminated'), 'kubernetes_unavailable', /terminated/],
]

test.for(errors)('%s', ([, error, code, says]) => {
  const refusal = kubernetesError(error, asked)
  expect(refusal).toMatchObject({ code, message: expect.stringMatching(says) as string })
})

test('a refusal stays what it is', () => {
  const refusal = new IdentityError('config_invalid', 'words')
  expect(kubernetesError(refusal, asked)).toBe(refusal)
})
