import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { attestedNode, newCsr, podFacts, tokenFor } from '../test/fakes/node-client.ts'
import { brokerDocument, brokerFolder, type BrokerFolder, runningBroker } from '../test/fakes/running-broker.ts'

let child: ChildProcess | undefined
afterEach(() => {
  child?.kill('SIGKILL')
})

async function brokerThatDiesAt(folder: BrokerFolder, step: string): Promise<{ port: number; died: Promise<unknown> }> {
  const config = join(folder.directory, 'broker.yaml')
  writeFileSync(config, stringify(brokerDocument(folder)))
  const program = new URL('../test/fakes/broker-process.ts', import.meta.url).pathname
  child = spawn(process.execPath, [program, config, step], { stdio: ['ignore', 'pipe', 'inherit'] })
  const died = once(child, 'exit')
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })
  const [line] = (await once(lines, 'line')) as [string]
  return { port: Number(line), died }
}

function workloadRows(folder: BrokerFolder): { outcome: unknown; serial_number: unknown }[] {
  const database = new DatabaseSync(folder.ledgerFile)
  const rows = database.prepare(`SELECT outcome, serial_number FROM issuance WHERE kind = 'workload'`).all()
  database.close()
  return rows as { outcome: unknown; serial_number: unknown }[]
}

describe('SIGKILL before a step of the cycle', () => {
  test.for([
    { step: '2 attest', rows: [] },
    { step: '3 register', rows: [] },
    { step: '4 request', rows: [] },
    { step: '5 deny list', rows: [] },
    { step: '6 authority', rows: [] },
    { step: '7 intent', rows: [] },
    // Invariant 2: from here on the intent is on the disk, and without a result it counts as issued (design §10).
    { step: '8 sign', rows: ['intended'] },
    { step: '9 result', rows: ['intended'] },
    { step: '10 answer', rows: ['intended'] },
  ])('$step', async ({ step, rows }) => {
    const folder = brokerFolder()
    const { port, died } = await brokerThatDiesAt(folder, step)
    const node = await attestedNode({ port }, folder)
    const { csr } = await newCsr()
    const request = { requestId: 'r1', serviceAccountToken: tokenFor(folder, podFacts()), csr, podUid: 'pod-uid-1' }
    const call = node.service.issueX509Svids({ requests: [request] }, { timeoutMs: 10_000 })
    await expect(call).rejects.toMatchObject({ code: 'broker_unavailable' })
    expect(await died).toEqual([null, 'SIGKILL'])
    node.close()

    expect(workloadRows(folder).map(({ outcome }) => outcome)).toEqual(rows)
    // It comes back with the same authority and a whole audit chain, and serves the agent's SVID from before.
    const again = await runningBroker({ folder })
    const back = await attestedNode(again, folder)
    const { results } = await back.service.issueX509Svids({ requests: [request] }, { timeoutMs: 10_000 })
    expect(results[0]?.outcome.case).toBe('svid')
    back.close()
    expect(await again.stop()).toEqual([])
    expect(workloadRows(folder).map(({ outcome }) => outcome)).toEqual([...rows, 'issued'])
  })
})
