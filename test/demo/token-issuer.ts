/**
 * The part of the API server and kubelet in a demonstration without Kubernetes: an issuer of ServiceAccount tokens that
 * can be looked at. It writes the JWK Set and a token file per pod, and replaces the tokens as kubelet does.
 *
 *     node test/demo/token-issuer.ts FOLDER
 *
 * Each token is told of by its claims; the token itself is only in its file.
 */
import { createHash } from 'node:crypto'
import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TokenIssuer } from '../fakes/token-issuer.ts'
import { AGENTS, AUDIENCE, type DemoPod, PODS } from './world.ts'

const REPLACE_EVERY_MS = 30_000
const folder = process.argv[2] ?? ''
if (folder === '' || !existsSync(join(folder, 'tokens'))) {
  process.stderr.write('usage: npx node test/demo/token-issuer.ts FOLDER (which has a folder `tokens` in it)\n')
  process.exit(2)
}
const issuer = new TokenIssuer({ issuer: 'https://token-issuer.demo.example' })

/** A name's own UID: the same in every run, which makes output comparable. */
function uid(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

function write(name: string, text: string): void {
  const file = join(folder, name)
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

function issueFor({ name, namespace, node }: DemoPod): void {
  const serviceAccount = namespace === 'countersign-agent' ? 'countersign-agent' : name
  const claims = issuer.claimsOf({
    audience: AUDIENCE,
    facts: {
      namespace,
      serviceAccount,
      serviceAccountUid: uid(`sa/${namespace}/${serviceAccount}`),
      podName: `${name}-0`,
      podUid: uid(`pod/${name}`),
      nodeName: node,
      nodeUid: uid(`node/${node}`),
    },
  })
  write(join('tokens', `${name}.jwt`), issuer.sign(claims))
  process.stdout.write(`${JSON.stringify({ event: 'token', pod: `${namespace}/${name}-0`, node, claims })}\n`)
}

function issueAll(): void {
  for (const pod of [...AGENTS, ...PODS]) issueFor(pod)
}

write('jwks.json', JSON.stringify(issuer.jwks()))
issueAll()
setInterval(issueAll, REPLACE_EVERY_MS)
process.stdout.write(`${JSON.stringify({ event: 'ready', issuer: issuer.issuer })}\n`)
