import { type ChildProcessByStdio, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const demo = ['test/demo/main.ts', '--json']
type Shown = Readonly<Record<string, string>> & { readonly step: string }

test(
  'the demonstration shows each step, with certificates that openssl verifies, and ends well',
  { timeout: 60_000 },
  async () => {
    const { stdout } = await promisify(execFile)(process.execPath, demo, { timeout: 60_000, maxBuffer: 2 ** 24 })
    const steps = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Shown)
    expect(steps.map(({ step }) => step)).toEqual([
      ...['token-issuer', 'broker', 'agent', 'agent', 'identity', 'identity', 'identity'],
      ...['mutual-tls', 'mutual-tls', 'rotation', 'rotation', 'stolen-token', 'look'],
    ])
    expect(stdout, 'no token and no key is ever shown').not.toMatch(/eyJ[\w-]+\.eyJ|PRIVATE KEY/)

    const folder = mkdtempSync(join(tmpdir(), 'demo-test-'))
    const file = (name: string, text = '') => {
      writeFileSync(join(folder, name), text)
      return join(folder, name)
    }
    const bundle = file('bundle.pem', steps.find(({ step }) => step === 'broker')?.['pem'])
    for (const [index, { spiffeId, serialNumber, pem }] of steps.filter(({ step }) => step === 'identity').entries()) {
      const leaf = file(`leaf-${index}.pem`, pem)
      expect(
        execFileSync('openssl', ['verify', '-no_check_time', '-x509_strict', '-CAfile', bundle, leaf]).toString(),
      ).toContain('OK')
      const shown = execFileSync('openssl', [
        'x509',
        '-in',
        leaf,
        '-noout',
        '-serial',
        '-ext',
        'subjectAltName',
      ]).toString()
      expect(shown).toContain(`URI:${spiffeId}`)
      expect(shown.toLowerCase()).toContain(`serial=${serialNumber}`)
    }
    rmSync(folder, { recursive: true })

    const audits = steps.flatMap(({ audit }) => (audit ? [audit as unknown as Shown] : []))
    expect(audits.every(({ seq }) => Number(seq) > 0)).toBe(true)
    expect(steps.find(({ step }) => step === 'stolen-token')).toMatchObject({ refused: 'node_mismatch' })
    expect(Object.keys(steps.at(-1) ?? {}), 'no path of what is gone by then').toEqual(['step', 'says'])
  },
)

describe('when it ends too early', () => {
  let temporary: string
  beforeEach(() => {
    temporary = mkdtempSync(join(tmpdir(), 'demo-test-'))
  })
  afterEach(() => rmSync(temporary, { recursive: true }))

  /** Runs it until `broker` is told of; @returns its exit code, and the pids told of by then. */
  async function endAtBroker(
    end: (broker: number, demonstration: ChildProcessByStdio<null, Readable, Readable>) => void,
  ) {
    const env = { ...process.env, TMPDIR: temporary }
    const child = spawn(process.execPath, demo, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const pids: number[] = []
    const steps: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { step, pid } = JSON.parse(line) as Shown
      steps.push(step)
      if (pid !== undefined) pids.push(Number(pid))
      if (step === 'broker') end(Number(pid), child)
    })
    const [said, exitCode] = await Promise.all([text(child.stderr), once(child, 'exit').then(([code]) => Number(code))])
    return { exitCode, said, steps, running: pids.filter((pid) => existsSync(`/proc/${pid}`)) }
  }

  test('it fails when the broker is killed in the middle, and keeps nothing but the logs', async () => {
    const ended = await endAtBroker((broker) => process.kill(broker, 'SIGKILL'))
    expect(ended).toMatchObject({ exitCode: 1, running: [] })
    const [folder = ''] = readdirSync(temporary)
    expect(readdirSync(join(temporary, folder))).toEqual(['logs'])
  })

  test('it leaves neither processes nor files when nobody reads on', async () => {
    const ended = await endAtBroker((_, { stdout }) => stdout.destroy())
    expect(ended).toMatchObject({ exitCode: 1, running: [] })
    expect(readdirSync(temporary)).toEqual([])
  })

  test('interrupted, it says so and nothing more', async () => {
    const ended = await endAtBroker((_, demonstration) => demonstration.kill('SIGINT'))
    expect(ended).toEqual({
      exitCode: 1,
      said: 'the demonstration was ended: interrupted\n',
      steps: ['token-issuer', 'broker'],
      running: [],
    })
    expect(readdirSync(temporary)).toEqual([])
  })
})
