import { execFile, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

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
      const text = execFileSync('openssl', [
        'x509',
        '-in',
        leaf,
        '-noout',
        '-serial',
        '-ext',
        'subjectAltName',
      ]).toString()
      expect(text).toContain(`URI:${spiffeId}`)
      expect(text.toLowerCase()).toContain(`serial=${serialNumber}`)
    }
    rmSync(folder, { recursive: true })

    const audits = steps.flatMap(({ audit }) => (audit ? [audit as unknown as Shown] : []))
    expect(audits.every(({ seq }) => Number(seq) > 0)).toBe(true)
    expect(steps.find(({ step }) => step === 'stolen-token')).toMatchObject({ refused: 'node_mismatch' })
  },
)

test('it fails when the broker is killed in the middle', { timeout: 60_000 }, async () => {
  const child = spawn(process.execPath, demo, { stdio: ['ignore', 'pipe', 'ignore'] })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { step, pid } = JSON.parse(line) as Shown
    if (step === 'broker') process.kill(Number(pid), 'SIGKILL')
  })
  expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(1)
})
