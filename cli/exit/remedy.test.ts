import { expect, test } from 'vitest'
import type { ErrorCode } from '../../core/runtime/error-codes.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { remedyOf } from './remedy.ts'

test.for<[what: string, code: ErrorCode, cause: unknown, remedy: RegExp]>([
  ['a rule that is missing', 'kubernetes_forbidden', { code: 403 }, /bind the ClusterRole countersign-cli-user/],
  ['a port that may not be forwarded', 'kubernetes_forbidden', undefined, /bind the ClusterRole countersign-cli-user/],
  ['credentials of nobody', 'kubernetes_forbidden', { code: 401 }, /kubectl auth whoami/],
  ['a broker that does not answer', 'broker_unavailable', undefined, /countersign check/],
  ['a refusal of the broker', 'admin_permission_denied', undefined, /Grant the rule/],
])('%s', ([, code, cause, remedy]) => {
  expect(remedyOf(new IdentityError(code, 'words', { cause }))).toMatch(remedy)
})

test('a wrong command line has its remedy in its message', () => {
  expect(remedyOf(new IdentityError('config_invalid', 'give --pem or --document, not both'))).toBeUndefined()
})
