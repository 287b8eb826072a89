import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readAgentConfig } from './config.ts'
import { parseCommandLine } from './flags.ts'

let directory: string
let file: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'config-'))
  file = join(directory, 'agent.yaml')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const least = {
  trustDomain: 'prod.example',
  broker: { address: 'broker.countersign-system:8443' },
  tokenFile: '/token',
  stateDirectory: '/state',
  workloads: { directory: '/declared', output: '/output' },
}

test('what is not said has its default', () => {
  const config = readAgentConfig(undefined, least)
  expect(config.trustDomain.toString()).toBe('prod.example')
  expect(config.broker.address).toEqual({ host: 'broker.countersign-system', port: 8443 })
  expect(config.workloads).toEqual({ directory: '/declared', output: '/output', allowDisk: false, reread: 5_000 })
  expect(config.log.level).toBe('info')
  expect(readAgentConfig(undefined, { ...least, nodeName: 'a', csi: {} }).csi).toMatchObject({
    pluginsRegistry: '/var/lib/kubelet/plugins_registry',
    kubeletDirectory: '/var/lib/kubelet',
  })
})

test.for([
  { text: '[::1]:8443', address: { host: '::1', port: 8443 } },
  { text: '10.0.0.1:1', address: { host: '10.0.0.1', port: 1 } },
])('$text is an address', ({ text, address }) =>
  expect(readAgentConfig(undefined, { ...least, broker: { address: text } }).broker.address).toEqual(address),
)

describe('is refused, with its path', () => {
  test.for([
    { name: 'a trust domain that is none', change: { trustDomain: 'Prod' }, path: 'trustDomain: ' },
    {
      name: 'an address without a port',
      change: { broker: { address: 'host' } },
      path: 'broker.address: is not host:port',
    },
    { name: 'a port too high', change: { broker: { address: 'host:70000' } }, path: 'broker.address: ' },
    { name: 'a key that nobody knows', change: { tokenfile: '/x' }, path: 'tokenfile' },
    { name: 'nobody to serve', change: { workloads: undefined }, path: 'csi: or workloads' },
    { name: 'csi without a node', change: { csi: {} }, path: 'nodeName: must be there' },
    {
      name: 'a time without a unit',
      change: { workloads: { ...least.workloads, reread: '5' } },
      path: 'workloads.reread: ',
    },
  ])('$name', ({ change, path }) => {
    expect(() => readAgentConfig(undefined, { ...least, ...change })).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining(path) as unknown }) as Error,
    )
  })

  test('all at once', () => {
    const wrong = { ...least, trustDomain: 'Prod', broker: { address: 'host' } }
    expect(() => readAgentConfig(undefined, wrong)).toThrow(/trustDomain: [^]*broker\.address: /)
  })
})

test('flags are laid over the file, section by section', async () => {
  await writeFile(file, JSON.stringify(least))
  const { configFile, settings, command } = parseCommandLine([
    '--config',
    file,
    '--node-name',
    'node-a',
    '--allow-disk',
  ])
  expect(command).toBe('run')
  const config = readAgentConfig(configFile, settings)
  expect(config.nodeName).toBe('node-a')
  expect(config.workloads).toMatchObject({ directory: '/declared', allowDisk: true })
})

test('flags alone are enough for development', () => {
  const args = '--trust-domain td --broker 127.0.0.1:1 --token-file t --state s --workloads w --output o --allow-disk'
  const { configFile, settings } = parseCommandLine([...args.split(' '), '--operations-listen', '127.0.0.1:0'])
  expect(configFile).toBeUndefined()
  expect(readAgentConfig(undefined, settings).operations).toEqual({ listen: { host: '127.0.0.1', port: 0 } })
})

test('config-check takes its file', () =>
  expect(parseCommandLine(['config-check', '/etc/agent.yaml'])).toMatchObject({
    command: 'config-check',
    configFile: '/etc/agent.yaml',
  }))

test.for([[['--nope']], [['run']], [['config-check', 'a', 'b']]])('%s is no command line', ([args]) =>
  expect(() => parseCommandLine(args ?? [])).toThrow(expect.objectContaining({ code: 'config_invalid' }) as Error),
)
