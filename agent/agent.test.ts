import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLog } from '../core/runtime/log.ts'
import { systemRandom } from '../core/runtime/random.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { bundleToPem } from '../core/spiffe/bundle.ts'
import { Registration } from '../proto/gen/third_party/pluginregistration/api_pb.ts'
import { serviceClient } from '../proto/grpc-client.ts'
import { someDelivered } from '../test/fakes/delivered.ts'
import { type Agent, startAgent } from './agent.ts'
import { readAgentConfig } from './config.ts'

const UNKNOWN = 'kubelet has not registered the driver yet'

let directory: string
let agent: Agent

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'agent-'))
  await mkdir(join(directory, 'registry'))
  await mkdir(join(directory, 'declared'))
  await writeFile(join(directory, 'bundle.pem'), bundleToPem((await someDelivered()).bundles.own))
})

async function start(flags: Record<string, unknown>): Promise<Agent> {
  const config = readAgentConfig(undefined, {
    trustDomain: 'prod.example',
    nodeName: 'node-a',
    // Nobody is there.
    broker: { address: '127.0.0.1:1' },
    tokenFile: join(directory, 'token'),
    bootstrapBundleFile: join(directory, 'bundle.pem'),
    stateDirectory: join(directory, 'state'),
    ...flags,
  })
  agent = await startAgent(config, { clock: systemClock, random: systemRandom, log: createLog('agent', 'silent') })
  return agent
}

afterEach(async () => {
  await agent.stop()
  await rm(directory, { recursive: true })
})

test('of an agent that serves pods, whether it is ready depends on kubelet, too', async () => {
  await start({ csi: { pluginsRegistry: join(directory, 'registry'), kubeletDirectory: directory } })
  expect(agent.notReady()).toContain(UNKNOWN)
  const socket = join(directory, 'registry', 'csi.countersign.dev-reg.sock')
  const client = new Client(`unix:${socket}`, credentials.createInsecure())
  const kubelet = serviceClient(Registration, client, () => systemClock.now().getTime())
  await kubelet.notifyRegistrationStatus({ pluginRegistered: true, error: '' }, { timeoutMs: 10_000 })
  client.close()
  expect(agent.notReady()).not.toContain(UNKNOWN)
  expect(agent.notReady()).toContain('the node is not attested yet')
})

test('declarations that cannot be served are counted where metrics are scraped', async () => {
  const [declared, output] = [join(directory, 'declared'), join(directory, 'output')]
  await writeFile(join(declared, 'wrong.yaml'), 'name: ../wrong\n')
  const { operationsPort } = await start({
    workloads: { directory: declared, output, allowDisk: true },
    operations: { listen: '127.0.0.1:0' },
  })
  await vi.waitFor(async () => {
    const metrics = await fetch(`http://127.0.0.1:${operationsPort}/metrics`)
    expect(await metrics.text()).toContain('countersign_agent_declarations_unserved 1\n')
  })
})
