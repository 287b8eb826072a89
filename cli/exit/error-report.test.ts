import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { runCli } from '../../test/fakes/run-cli.ts'
import { errorDocument, errorText } from './error-report.ts'

test('a refusal: its code, its message and what to do', () => {
  const error = new IdentityError('admin_permission_denied', 'list nodeagents is missing\u001B[2J')
  expect(errorText(error)).toMatch(/^admin_permission_denied: list nodeagents is missing�\[2J\n→ Grant the rule .*\n$/)
  expect(errorDocument(error)).toEqual({
    error: {
      code: 'admin_permission_denied',
      message: error.message,
      remedy: expect.stringContaining('Grant the rule') as string,
    },
  })
})

test('a bug: its stack', () => {
  expect(errorText(new TypeError('a bug'))).toMatch(/^TypeError: a bug\n +at /)
  expect(errorDocument(new TypeError('a bug'))).toEqual({
    error: { code: 'internal', message: expect.stringMatching(/^TypeError: a bug\n +at /) as string },
  })
})

test.for([
  [['--json', '--kubeconfig', '/nonexistent', 'status'], '/nonexistent cannot be read: ENOENT'],
  [['check', '--json', '--frobnicate'], "unknown option '--frobnicate'"],
  [['--json', 'frobnicate'], "unknown command 'frobnicate'"],
  [['--json'], 'no command is given: --help says which there are'],
] as const)('%j ends with JSON on stderr, and nothing else anywhere', async ([args, message]) => {
  const { code, out, err } = await runCli([...args])
  expect({ code, out, error: JSON.parse(err) as unknown }).toEqual({
    code: 2,
    out: '',
    error: { error: { code: 'config_invalid', message } },
  })
})
