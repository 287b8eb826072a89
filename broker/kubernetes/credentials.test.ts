import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { loadCredentials } from './credentials.ts'

const directory = mkdtempSync(join(tmpdir(), 'credentials-'))

function kubeconfig(text: string): string {
  const file = join(directory, 'kubeconfig')
  writeFileSync(file, text)
  return file
}

const failure = (file: string) => loadCredentials({ kubeconfig: file }).then(String, (error: unknown) => error)

test('invariant 6: what is wrong with a kubeconfig is told by its line, and nothing in it is repeated', async () => {
  const file = kubeconfig(
    [
      'apiVersion: v1',
      'users:',
      '- name: a',
      '  user:',
      '    token: hidden-token',
      '   client-key-data: hidden-key',
    ].join('\n'),
  )
  const error = await failure(file)
  expect(error).toMatchObject({ code: 'config_invalid', message: `${file}: cannot be read: line 6 is no valid YAML` })
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('hidden')
})

test('a kubeconfig that is not there is told as such', async () => {
  const file = join(directory, 'absent')
  expect(await failure(file)).toMatchObject({ code: 'config_invalid', message: `${file}: cannot be read: ENOENT` })
})
