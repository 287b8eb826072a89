import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCsr } from '../core/pki/csr.ts'
import { generateKeyPair, pkcs8Of } from '../core/pki/key.ts'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { RevisionKind, type X509SvidRequestSchema } from '../proto/gen/countersign/node/v1/node_pb.ts'
import { auditRecords } from '../test/fakes/audit-records.ts'
import {
  agentFacts,
  attestedNode,
  connectTo,
  newCsr,
  type NodeConnection,
  podFacts,
  tokenFor,
} from '../test/fakes/node-client.ts'
import { AUDIENCE, runningBroker } from '../test/fakes/running-broker.ts'

type Item = Exclude<MessageInitShape<typeof X509SvidRequestSchema>, { readonly $typeName: string }>
const OPTIONS = { timeoutMs: 5000 }

let broker: Awaited<ReturnType<typeof runningBroker>>
let node: Awaited<ReturnType<typeof attestedNode>>
let other: Awaited<ReturnType<typeof attestedNode>>
const open: NodeConnection[] = []

beforeAll(async () => {
  broker = await runningBroker({ change: { issuance: { maxBatch: 5 } } })
  node = await attestedNode(broker, broker.folder)
  other = await attestedNode(broker, broker.folder, 'node-b')
  open.push(node, other)
})

afterAll(async () => {
  for (const connection of open) connection.close()
  await broker.stop()
})

const token = (change = {}) => tokenFor(broker.folder, podFacts(change))

async function anItem(change: Item = {}): Promise<Item> {
  const { csr } = await newCsr()
  return { requestId: 'r1', serviceAccountToken: token(), csr, podUid: 'pod-uid-1', ...change }
}

async function outcomeOf(change: Item) {
  const { results } = await node.service.issueX509Svids({ requests: [await anItem(change)] }, OPTIONS)
  return results[0]?.outcome
}

const stranger = () => {
  const connection = connectTo(broker, broker.folder)
  open.push(connection)
  return connection
}

test('a node is attested, gets SVIDs for its pods, and is kept in step', async () => {
  const items = await Promise.all(['a', 'b'].map((requestId) => anItem({ requestId })))
  const { results, serverTime } = await node.service.issueX509Svids({ requests: items }, OPTIONS)
  expect(results.map(({ requestId }) => requestId)).toEqual(['a', 'b'])
  for (const { outcome } of results) {
    expect(outcome).toMatchObject({ case: 'svid', value: { spiffeId: 'spiffe://prod.example/ns/shop/sa/cart' } })
  }
  expect(Math.abs(Number(serverTime?.seconds) * 1000 - Date.now())).toBeLessThan(5000)

  const { send, responses } = node.service.sync()
  send({ message: { case: 'hello', value: { agentVersion: 'test', bundleSequence: 0n } } })
  for await (const response of responses) {
    expect(response).toMatchObject({ kind: RevisionKind.BUNDLES, state: { case: 'bundles' } })
    send({ message: { case: 'acknowledgement', value: { kind: response.kind, revision: response.revision } } })
    break
  }
})

test('OpenSSL validates what is issued, with nothing but the published bundle', async () => {
  const outcome = await outcomeOf({})
  if (outcome?.case !== 'svid') throw new Error(`refused: ${JSON.stringify(outcome?.value)}`)
  const leaf = new X509Certificate(outcome.value.certificateChain[0] ?? new Uint8Array())
  const file = join(broker.folder.directory, 'leaf.pem')
  writeFileSync(file, leaf.toString())
  for (const purpose of ['sslserver', 'sslclient']) {
    execFileSync('openssl', ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', broker.folder.bundleFile, file])
  }
  expect(leaf.subjectAltName).toBe('URI:spiffe://prod.example/ns/shop/sa/cart')
  const { notAfter, lifetime } = outcome.value
  expect(Number(notAfter?.seconds) * 1000).toBe(leaf.validToDate.getTime())
  expect(leaf.validToDate.getTime() - leaf.validFromDate.getTime()).toBe(3_660_000)
  expect(Number(lifetime?.seconds)).toBeGreaterThan(3590)
})

test('invariant 1: nothing in a CSR but its proven public key reaches a certificate', async () => {
  const config = join(broker.folder.directory, 'req.cnf')
  writeFileSync(
    config,
    `[req]\ndistinguished_name=dn\nreq_extensions=ext\nprompt=no\n[dn]\nCN=admin.example\n[ext]\nsubjectAltName=URI:spiffe://prod.example/countersign/broker,DNS:admin.example\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n`,
  )
  const args = ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-config', config]
  const csr = execFileSync('openssl', [...args, '-keyout', '/dev/null', '-outform', 'DER'], { stdio: 'pipe' })
  const outcome = await outcomeOf({ csr })
  if (outcome?.case !== 'svid') throw new Error(`refused: ${JSON.stringify(outcome?.value)}`)
  const leaf = new X509Certificate(outcome.value.certificateChain[0] ?? new Uint8Array())
  expect(leaf.subject ?? '').toBe('')
  expect(leaf.subjectAltName).toBe('URI:spiffe://prod.example/ns/shop/sa/cart')
  expect(leaf.ca).toBe(false)
  expect(leaf.toString()).not.toContain('admin')
})

describe('an item is refused, and the others of its batch are served', () => {
  const forged = () => `${token().slice(0, -8)}AAAAAAAA`
  test.for<{ name: string; item: () => Item | Promise<Item>; code: string }>([
    { name: 'a forged token', item: () => ({ serviceAccountToken: forged() }), code: 'token_signature_invalid' },
    { name: 'no token', item: () => ({ serviceAccountToken: '' }), code: 'token_malformed' },
    { name: 'a huge token', item: () => ({ serviceAccountToken: 'x'.repeat(20_000) }), code: 'token_too_large' },
    {
      name: 'another audience',
      item: () => ({ serviceAccountToken: tokenFor(broker.folder, podFacts(), 'vault') }),
      code: 'token_audience_wrong',
    },
    {
      name: 'an expired token',
      item: () => ({
        serviceAccountToken: broker.folder.issuer.mint({
          facts: podFacts(),
          audience: AUDIENCE,
          issuedAt: new Date(Date.now() - 7_200_000),
        }),
      }),
      code: 'token_expired',
    },
    {
      name: 'a token for too long a life',
      item: () => ({
        serviceAccountToken: broker.folder.issuer.mint({
          facts: podFacts(),
          audience: AUDIENCE,
          lifetimeSeconds: 90_000,
        }),
      }),
      code: 'token_too_long_lived',
    },
    {
      name: 'invariant 4: a pod on another node',
      item: () => ({ serviceAccountToken: token({ nodeName: 'node-b' }) }),
      code: 'node_mismatch',
    },
    { name: 'another pod', item: () => ({ podUid: 'pod-uid-2' }), code: 'workload_mismatch' },
    { name: 'a CSR that is none', item: () => ({ csr: new Uint8Array([1, 2, 3]) }), code: 'csr_invalid' },
    { name: 'an empty CSR', item: () => ({ csr: new Uint8Array() }), code: 'csr_invalid' },
    {
      name: 'a CSR whose signature does not fit',
      item: async () => {
        const { csr } = await newCsr()
        csr[csr.length - 1] = (csr.at(-1) ?? 0) ^ 1
        return { csr }
      },
      code: 'csr_invalid',
    },
    {
      name: 'another key type than the template demands',
      item: async () => ({ csr: (await newCsr('ec-p384')).csr }),
      code: 'key_type_required',
    },
  ])('$name', async ({ item, code }) => {
    const [bad, good] = [await anItem({ requestId: 'bad', ...(await item()) }), await anItem({ requestId: 'good' })]
    const { results } = await node.service.issueX509Svids({ requests: [bad, good] }, OPTIONS)
    expect(results).toMatchObject([
      { requestId: 'bad', outcome: { case: 'refusal', value: { code } } },
      { requestId: 'good', outcome: { case: 'svid' } },
    ])
  })

  test('the key type that is demanded comes with the refusal', async () => {
    const outcome = await outcomeOf({ csr: (await newCsr('rsa-2048')).csr })
    expect(outcome?.value).toMatchObject({ code: 'key_type_required', facts: { keyType: 'ec-p256' } })
  })

  test('one key proven by two requests', async () => {
    const { privateKey } = await generateKeyPair('ec-p256')
    const requests = await Promise.all(['a', 'b'].map((requestId) => anItem({ requestId, csr: createCsr(privateKey) })))
    const { results } = await node.service.issueX509Svids({ requests }, OPTIONS)
    expect(new Set(results.map(({ outcome }) => outcome.case))).toEqual(new Set(['refusal', 'svid']))
  })
})

describe('a batch is refused whole', () => {
  test.for<{ name: string; requests: () => Promise<Item[]>; code: string }>([
    { name: 'nothing in it', requests: async () => [], code: 'request_invalid' },
    {
      name: 'more than the limit',
      requests: () => Promise.all(Array.from({ length: 6 }, (_, index) => anItem({ requestId: String(index) }))),
      code: 'batch_too_large',
    },
    { name: 'one request ID twice', requests: async () => [await anItem(), await anItem()], code: 'batch_duplicate' },
    {
      name: 'one CSR twice',
      requests: async () => {
        const item = await anItem()
        return [item, { ...item, requestId: 'r2' }]
      },
      code: 'batch_duplicate',
    },
    { name: 'no request ID', requests: async () => [await anItem({ requestId: '' })], code: 'request_invalid' },
    { name: 'no pod UID', requests: async () => [await anItem({ podUid: '' })], code: 'request_invalid' },
    {
      name: 'a request ID that is too long',
      requests: async () => [await anItem({ requestId: 'x'.repeat(129) })],
      code: 'request_invalid',
    },
  ])('$name', async ({ requests, code }) => {
    const call = node.service.issueX509Svids({ requests: await requests() }, OPTIONS)
    await expect(call).rejects.toMatchObject({ code })
  })
})

describe('AttestNode tells a stranger nothing', () => {
  const agent = () => agentFacts('node-a')
  test.for<{ name: string; evidence: () => string; precise: string }>([
    { name: 'a token that is none', evidence: () => 'x', precise: 'token_malformed' },
    {
      name: 'a forged token',
      evidence: () => `${tokenFor(broker.folder, agent()).slice(0, -8)}AAAAAAAA`,
      precise: 'token_signature_invalid',
    },
    {
      name: 'another audience',
      evidence: () => tokenFor(broker.folder, agent(), 'https://kubernetes.default.svc'),
      precise: 'token_audience_wrong',
    },
    {
      name: 'a ServiceAccount that is no agent',
      evidence: () => tokenFor(broker.folder, podFacts()),
      precise: 'agent_not_allowed',
    },
    {
      name: 'a token without a pod',
      evidence: () => {
        const { namespace, serviceAccount, serviceAccountUid } = agent()
        return broker.folder.issuer.mint({
          facts: { namespace, serviceAccount, serviceAccountUid },
          audience: AUDIENCE,
        })
      },
      precise: 'token_unbound',
    },
  ])('$name', async ({ evidence }) => {
    const { csr } = await newCsr()
    const call = stranger().service.attestNode({ serviceAccountToken: evidence(), csr }, OPTIONS)
    await expect(call).rejects.toMatchObject({
      code: 'attestation_refused',
      message: 'the node could not be attested; the audit record says why',
      facts: {},
    })
  })

  test('what only its own CSR says, it is told', async () => {
    const serviceAccountToken = tokenFor(broker.folder, agent())
    const call = stranger().service.attestNode({ serviceAccountToken, csr: new Uint8Array([1]) }, OPTIONS)
    await expect(call).rejects.toMatchObject({ code: 'csr_invalid' })
  })
})

describe('who is no agent gets nothing', () => {
  const helloOn = async ({ service }: NodeConnection) => {
    const { send, responses } = service.sync()
    send({ message: { case: 'hello', value: {} } })
    for await (const _ of responses) return 'served'
    return 'ended'
  }

  test('without a certificate', async () => {
    const code = 'agent_certificate_required'
    await expect(stranger().service.issueX509Svids({ requests: [] }, OPTIONS)).rejects.toMatchObject({ code })
    await expect(helloOn(stranger())).rejects.toMatchObject({ code })
  })

  test("with a workload's SVID", async () => {
    const { csr, privateKey } = await newCsr()
    const outcome = await outcomeOf({ csr })
    if (outcome?.case !== 'svid') throw new Error('refused')
    const workload = connectTo(broker, broker.folder, { chain: outcome.value.certificateChain, privateKey })
    open.push(workload)
    const code = 'agent_certificate_invalid'
    await expect(workload.service.issueX509Svids({ requests: [] }, OPTIONS)).rejects.toMatchObject({ code })
    await expect(helloOn(workload)).rejects.toMatchObject({ code })
  })

  test("invariant 5: with an agent's SVID of another broker of the same name", async () => {
    const elsewhere = await runningBroker()
    const imposter = await attestedNode(elsewhere, elsewhere.folder)
    const connection = connectTo(broker, broker.folder, imposter.identity)
    open.push(imposter, connection)
    const call = connection.service.issueX509Svids({ requests: [] }, OPTIONS)
    await expect(call).rejects.toMatchObject({ code: 'agent_certificate_invalid' })
    await elsewhere.stop()
  })

  test('but may attest all the same', async () => {
    const { privateKey } = await generateKeyPair('ec-p256')
    const { csr } = await newCsr()
    const outcome = await outcomeOf({ csr: createCsr(privateKey) })
    if (outcome?.case !== 'svid') throw new Error('refused')
    const workload = connectTo(broker, broker.folder, {
      chain: outcome.value.certificateChain,
      privateKey: pkcs8Of(privateKey),
    })
    open.push(workload)
    const serviceAccountToken = tokenFor(broker.folder, agentFacts('node-a'))
    const { svid } = await workload.service.attestNode({ serviceAccountToken, csr }, OPTIONS)
    expect(svid?.spiffeId).toBe('spiffe://prod.example/countersign/agent/node-a')
  })
})

describe('Sync is kept to its form', () => {
  test.for<{ name: string; message: object }>([
    { name: 'another message before Hello', message: { case: 'ended', value: { serialNumbers: [] } } },
    { name: 'an empty message', message: { case: undefined } },
    { name: 'serial numbers that are none', message: { case: 'hello', value: { heldSerialNumbers: ['XYZ'] } } },
    {
      name: 'too many serial numbers',
      message: { case: 'hello', value: { heldSerialNumbers: Array.from({ length: 10_001 }, () => 'ab') } },
    },
  ])('refuses $name', async ({ message }) => {
    const { send, responses } = node.service.sync()
    send({ message: message as never })
    await expect(responses[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'request_invalid' })
  })

  test('refuses a second Hello', async () => {
    const { send, responses } = node.service.sync()
    const iterator = responses[Symbol.asyncIterator]()
    send({ message: { case: 'hello', value: {} } })
    await iterator.next()
    send({ message: { case: 'hello', value: {} } })
    await expect(iterator.next()).rejects.toMatchObject({ code: 'request_invalid' })
  })

  test('a node that opens stream after stream loses its oldest', async () => {
    const ends: string[] = []
    const streams: Promise<unknown>[] = []
    for (let count = 0; count < 5; count += 1) {
      const { send, responses } = other.service.sync()
      const iterator = responses[Symbol.asyncIterator]()
      send({ message: { case: 'hello', value: {} } })
      await iterator.next()
      streams.push(iterator.next().catch(({ code }: { code: string }) => ends.push(`${count}: ${code}`)))
    }
    await streams[0]
    expect(ends).toEqual(['0: overloaded'])
  })
})

test('every refusal is in the audit record with its precise code; invariant 6: no token is', async () => {
  const folder = broker.folder
  for (const connection of open.splice(0)) connection.close()
  expect(await broker.stop()).toEqual([])
  const records = auditRecords(folder.ledgerFile)
  const codes = new Set(records.map(({ code }) => code))
  for (const code of [
    'token_signature_invalid',
    'token_audience_wrong',
    'agent_not_allowed',
    'token_unbound',
    'node_mismatch',
    'workload_mismatch',
    'agent_certificate_invalid',
    'agent_certificate_required',
  ]) {
    expect(codes).toContain(code)
  }
  // Invariant 3: nobody reviewed these tokens, and each record says so.
  const intents = records.filter(({ event }) => event === 'issuance_intended')
  expect(intents.length).toBeGreaterThan(10)
  expect(intents.every(({ reviewed }) => reviewed === false)).toBe(true)
  const [header = ''] = tokenFor(folder, podFacts()).split('.')
  expect(readFileSync(folder.ledgerFile).includes(header)).toBe(false)
  expect(readFileSync(folder.ledgerFile).includes('PRIVATE KEY')).toBe(false)
})
