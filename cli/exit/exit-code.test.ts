import { expect, test } from 'vitest'
import type { ErrorCode } from '../../core/runtime/error-codes.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { EXIT, type Exit, exitOf } from './exit-code.ts'

const codes: [code: ErrorCode, exit: Exit][] = [
  ['config_invalid', 'usage'],
  ['pem_invalid', 'usage'],
  ['bundle_invalid', 'usage'],
  ['kubernetes_unavailable', 'unreachable'],
  ['broker_unavailable', 'unreachable'],
  ['deadline_exceeded', 'unreachable'],
  ['chain_untrusted', 'unreachable'],
  ['kubernetes_forbidden', 'refused'],
  ['admin_permission_denied', 'refused'],
  ['admin_credentials_required', 'refused'],
  ['token_rejected', 'refused'],
  ['token_expired', 'refused'],
  ['identity_not_found', 'failed'],
  ['not_implemented', 'failed'],
  ['internal', 'failed'],
]

test.for(codes)('%s ends as %s', ([code, exit]) => {
  expect(exitOf(new IdentityError(code, 'words'))).toBe(exit)
})

test('a bug ends as a failure', () => expect(exitOf(new TypeError('a bug'))).toBe('failed'))

test('the numbers are a promise', () => {
  expect(Object.values(EXIT).map(({ code }) => code)).toEqual([0, 1, 2, 3, 4])
})
