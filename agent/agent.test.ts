import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import { afterEach, beforeEach, expect, test } from 'vitest'
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
  const pluginsRegistry = join(directory, 'registry')
  const bootstrapBundleFile = join(directory, 'bundle.pem')
  await mkdir(pluginsRegistry)
  await writeFile(bootstrapBundleFile, bundleToPem((await someDelivered()).bundles.own))
  const config = readAgentConfig(undefined, {
    trustDomain: 'prod.example',
    nodeName: 'node-a',
    // Nobody is there.
    broker: { address: '127.0.0.1:1' },
    tokenFile: join(directory, 'token'),
    bootstrapBundleFile,
    stateDirectory: join(directory, 'state'),
    csi: { pluginsRegistry, kubeletDirectory: directory },
  })
  agent = await startAgent(config, { clock: systemClock, random: systemRandom, log: createLog('agent', 'silent') })
})

afterEach(async () => {
  await agent.stop()
  await rm(directory, { recursive: true })
})

test('of an agent that serves pods, whether it is ready depends on kubelet, too', async () => {
  expect(agent.notReady()).toContain(UNKNOWN)
  const socket = join(directory, 'registry', 'csi.countersign.dev-reg.sock')
  const client = new Client(`unix:${socket}`, credentials.createInsecure())
  const kubelet = serviceClient(Registration, client, () => systemClock.now().getTime())
  await kubelet.notifyRegistrationStatus({ pluginRegistered: true, error: '' }, { timeoutMs: 10_000 })
  client.close()
  expect(agent.notReady()).not.toContain(UNKNOWN)
  expect(agent.notReady()).toContain('the node is not attested yet')
})
