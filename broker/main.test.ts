import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { brokerFolder } from '../test/fakes/running-broker.ts'

const MAIN = new URL('./main.ts', import.meta.url).pathname

test('starts by flags alone, says where it listens, and stops on SIGTERM', async () => {
  const { directory, jwksFile, issuer } = brokerFolder()
  const bundle = join(directory, 'dev.pem')
  const args = ['--trust-domain', 'dev.example', '--data', join(directory, 'data'), '--jwks', jwksFile]
  const child = spawn(process.execPath, [MAIN, ...args, '--issuer', issuer.issuer, '--bundle-file', bundle], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let ready: { address: string; operationsPort: number; trustDomain: string } | undefined
  for await (const line of createInterface({ input: child.stderr })) {
    const entry = JSON.parse(line) as NonNullable<typeof ready> & { msg: string }
    if (entry.msg !== 'started') continue
    ready = entry
    break
  }
  expect(ready).toMatchObject({ address: expect.stringMatching(/^127\.0\.0\.1:\d+$/), trustDomain: 'dev.example' })
  expect((await fetch(`http://127.0.0.1:${ready?.operationsPort}/readyz`)).status).toBe(200)
  expect(readFileSync(bundle, 'utf8')).toContain('BEGIN CERTIFICATE')
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])
  expect(existsSync(join(directory, 'data', 'ledger.sqlite-wal'))).toBe(false)
})

test('--help tells one flag a line, with the setting that it stands for', () => {
  const { status, stdout } = spawnSync(process.execPath, [MAIN, '-h'])
  expect(status).toBe(0)
  expect(stdout.toString()).toMatch(/^ {2}--jwks FILE +attestation\.jwksFile, /m)
})

test('a command line that is wrong ends with 2 and the reason', () => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, '--trust-domain', 'dev.example'])
  expect(status).toBe(2)
  expect(stderr.toString()).toContain('usage: broker')
})
