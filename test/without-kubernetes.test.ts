import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'

/** The recipe of docs/without-kubernetes.md is followed to the letter, in a home and on ports of its own. */
const home = mkdtempSync(join(tmpdir(), 'recipe-'))
const output = mkdtempSync('/dev/shm/recipe-')
const running: ChildProcess[] = []

afterAll(async () => {
  await Promise.all(
    running.map(async (child) => {
      if (child.exitCode === null && child.kill('SIGTERM')) await new Promise((resolve) => child.once('exit', resolve))
    }),
  )
  for (const folder of [home, output]) rmSync(folder, { recursive: true, force: true })
})

test(
  'docs/without-kubernetes.md leads to an identity, and its template to another one',
  { timeout: 90_000 },
  async () => {
    const ports = await freePorts(3)
    const recipe = readFileSync('docs/without-kubernetes.md', 'utf8')
      .replaceAll('/home/me', home)
      .replaceAll('/dev/shm/countersign', output)
      .replaceAll(/(?<=127\.0\.0\.1:)(8443|9090|9091)/g, (port) =>
        String(ports[['8443', '9090', '9091'].indexOf(port)]),
      )
    const blocks = Array.from(recipe.matchAll(/```(sh|yaml)\n([\s\S]*?)```/g), ([, kind, text = '']) => ({
      kind,
      text,
    }))
    const [template, ...files] = blocks.filter(({ kind }) => kind === 'yaml').toReversed()
    for (const { text } of files) writeNamed(text)

    for (const { text } of blocks.filter(({ kind }) => kind === 'sh')) {
      for (const line of text.trim().split('\n')) await follow(line)
    }
    expect(await issuedTo('cart')).toContain('URI:spiffe://demo.example/ns/shop/sa/cart\n')

    // A running workload takes a template with its next renewal, a new one at once.
    writeNamed(template?.text ?? '')
    let tries = 0
    await expect
      .poll(() => issuedTo(declareAgain(`again-${(tries += 1)}`)), { timeout: 20_000, interval: 500 })
      .toContain('URI:spiffe://demo.example/shop/cart, DNS:cart.shop.svc')
  },
)

/** A file of the recipe, which its first line names. */
function writeNamed(text: string): void {
  const name = /^# ~\/(\S+)\n/.exec(text)?.[1]
  if (name === undefined) throw new Error(`a file of the recipe has no name: ${text}`)
  mkdirSync(dirname(join(home, name)), { recursive: true })
  writeFileSync(join(home, name), text)
}

/** A line of the recipe's commands; a program that stays goes to the background, as its reader would have it. */
async function follow(line: string): Promise<void> {
  const command = line.replace(/^npx node\b/, JSON.stringify(process.execPath))
  if (!/main\.ts --config|token-issuer\.ts/.test(line)) {
    execFileSync('bash', ['-c', command], { env: { ...process.env, HOME: home }, timeout: 20_000 })
    return
  }
  let said = ''
  const child = spawn('bash', ['-c', `exec ${command}`], {
    env: { ...process.env, HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.push(child)
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()))
  await expect.poll(() => said, { timeout: 20_000 }).toMatch(/"(msg|event)":"(ready|started)"/)
  if (line.includes('agent/main.ts')) {
    await expect.poll(() => existsSync(join(output, 'cart/tls.crt')), { timeout: 20_000 }).toBe(true)
  }
}

function declareAgain(name: string): string {
  const declaration = `name: ${name}\ntokenFile: ${home}/countersign/tokens/cart.jwt\n`
  writeFileSync(join(home, 'countersign/workloads', `${name}.yaml`), declaration)
  return name
}

async function issuedTo(name: string): Promise<string> {
  const file = join(output, name, 'tls.crt')
  await expect.poll(() => existsSync(file), { timeout: 10_000 }).toBe(true)
  return execFileSync('openssl', ['x509', '-in', file, '-noout', '-ext', 'subjectAltName'], { encoding: 'utf8' })
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
