import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { bundleToPem } from '../core/spiffe/bundle.ts'
import { someDelivered } from '../test/fakes/delivered.ts'

const MAIN = new URL('./main.ts', import.meta.url).pathname

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'agent-main-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** A whole command line; its broker is nowhere. */
async function settings(output: string): Promise<string[]> {
  const bundle = join(directory, 'bundle.pem')
  await writeFile(bundle, bundleToPem((await someDelivered()).bundles.own))
  const flags = {
    'trust-domain': 'prod.example',
    broker: '127.0.0.1:1',
    'token-file': join(directory, 'no-such-token'),
    'bundle-file': bundle,
    state: join(directory, 'state'),
    workloads: directory,
    output,
    'operations-listen': '127.0.0.1:0',
  }
  return Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])
}

test.for([
  { name: 'a flag that is none', args: ['--nope'], says: /'--nope'[^]*usage: agent/ },
  { name: 'a command that is none', args: ['walk'], says: /walk is no command[^]*usage: agent/ },
  { name: 'nothing', args: [], says: /--trust-domain \(trustDomain\): is required/ },
  { name: 'too few settings', args: ['--trust-domain', 'dev.example'], says: /^config_invalid: [^]*broker: / },
  { name: 'a file that is not there', args: ['--config', '/no/such/file'], says: /no\/such\/file/ },
])('$name ends with 2 and the reason', ({ args, says }) => {
  expect(run(...args)).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(says) as unknown })
})

test.for(['--help', '-h'])('%s tells one flag a line', (flag) => {
  const { status, stdout } = run(flag)
  expect(status).toBe(0)
  expect(stdout).toMatch(/^ {2}--token-file FILE +tokenFile$/m)
  expect(stdout).toMatch(/^ {2}--allow-disk +workloads\.allowDisk$/m)
})

test('invariant 6: does not start where keys would come to a disk, and says how to allow it', async () => {
  const { status, stderr } = run(...(await settings('/proc')))
  expect(status).toBe(1)
  expect(stderr).toContain('disk_not_allowed: /proc is not on a tmpfs')
  expect(stderr).toContain('--allow-disk')
})

test('while it is not ready it says why, by code and message', async () => {
  const args = await settings(join(directory, 'output'))
  const child = spawn(process.execPath, [MAIN, ...args, '--allow-disk'], { stdio: ['ignore', 'ignore', 'pipe'] })
  try {
    let port: number | undefined
    for await (const line of createInterface({ input: child.stderr })) {
      port = (JSON.parse(line) as { operationsPort?: number }).operationsPort
      if (port !== undefined) break
    }
    const look = async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`)
      expect(answer.status).toBe(503)
      const missing = `config_invalid: the token file ${join(directory, 'no-such-token')} cannot be read: ENOENT`
      expect(await answer.text()).toContain(`there is no connection to the broker: ${missing}`)
    }
    await vi.waitFor(look, { timeout: 10_000, interval: 20 })
  } finally {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
})
