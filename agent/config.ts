import { z } from 'zod'
import { type Problem, checkValue, describeProblems, duration, readConfigFile } from '../core/runtime/config.ts'
import { IdentityError } from '../core/runtime/errors.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'

const trustDomain = z.string().transform((text, context) => {
  try {
    return TrustDomain.parse(text)
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
    context.addIssue({ code: 'custom', message: error.message })
    return z.NEVER
  }
})

/** `host:port`, with brackets around an IPv6 address. */
const hostPort = z.string().transform((text, context) => {
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65535) {
    context.addIssue({ code: 'custom', message: 'is not host:port' })
    return z.NEVER
  }
  return { host, port: Number(port) }
})

const path = z.string().min(1)

export const agentConfigSchema = z
  .strictObject({
    trustDomain: trustDomain.describe('The trust domain, for example prod.example.'),
    nodeName: z
      .string()
      .min(1)
      .optional()
      .describe('The name of this node. An identity for another one is refused; needed with csi.'),
    broker: z
      .strictObject({ address: hostPort.describe('host:port of the broker.') })
      .describe('Where the broker is. It is known by its SPIFFE ID, so that the name proves nothing.'),
    tokenFile: path.describe("The agent's own projected token; read again for each attestation."),
    bootstrapBundleFile: path
      .optional()
      .describe(
        'The trust bundle to begin with: PEM, or a SPIFFE bundle document. What the agent saved last stays in force until a document has a higher sequence, or, for PEM, until every authority that was saved has expired. To begin anew by hand: stop the agent, remove bundles.json from stateDirectory, start it.',
      ),
    stateDirectory: path.describe(
      'A folder that outlives the agent: bundles and records of volumes, no secrets. Nobody else may write in it.',
    ),
    csi: z
      .strictObject({
        pluginsRegistry: path
          .default('/var/lib/kubelet/plugins_registry')
          .describe("kubelet's folder of plug-in sockets."),
        kubeletDirectory: path.default('/var/lib/kubelet').describe("kubelet's own folder (--root-dir)."),
        audience: z
          .string()
          .min(1)
          .optional()
          .describe("The audience of the pods' tokens. Default: countersign.dev/<trust domain>."),
        maxVolumesPerPod: z
          .int()
          .min(1)
          .max(1000)
          .default(16)
          .describe('How many volumes of this driver one pod may have; kubelet is refused the others.'),
        selinuxContext: z
          .string()
          .default('system_u:object_r:container_file_t:s0')
          .describe('Label of the volumes, on nodes with SELinux.'),
      })
      .optional()
      .describe('Serve the pods of this node as the CSI driver csi.countersign.dev.'),
    workloads: z
      .strictObject({
        directory: path.describe('A folder of YAML files, each declaring a workload: name and tokenFile.'),
        output: path.describe('Where each workload gets a folder of its name, on a tmpfs.'),
        allowDisk: z.boolean().default(false).describe('Allow private keys on a disk. For development.'),
        reread: duration.prefault('5s').describe('How often declarations and tokens are read again.'),
      })
      .optional()
      .describe('Serve declared workloads, without Kubernetes.'),
    operations: z
      .strictObject({ listen: hostPort.describe('host:port of /livez, /readyz and /metrics.') })
      .optional()
      .describe('Health and metrics, over plain HTTP.'),
    log: z
      .strictObject({
        level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').describe('How much is logged.'),
      })
      .prefault({}),
  })
  .superRefine(({ csi, workloads, nodeName }, context) => {
    if (!csi && !workloads)
      context.addIssue({ code: 'custom', path: ['csi'], message: 'or workloads must be there: else nobody is served' })
    if (csi && nodeName === undefined)
      context.addIssue({ code: 'custom', path: ['nodeName'], message: 'must be there where csi is' })
  })

export type AgentConfig = z.output<typeof agentConfigSchema>

/** A configuration as it is written, before it is checked. */
export type ConfigDocument = Readonly<Record<string, unknown>>

/**
 * Reads the file, if there is one, lays `flags` over it, and checks the whole.
 *
 * @param flagOf which flag stands for a setting.
 * @throws {@link IdentityError} `config_invalid`, with every problem.
 */
export function readAgentConfig(
  file: string | undefined,
  flags: ConfigDocument,
  flagOf: (setting: string) => string | undefined = () => undefined,
): AgentConfig {
  const document = file === undefined ? {} : readConfigFile(file, z.record(z.string(), z.unknown()))
  const merged = Object.entries(flags).reduce<ConfigDocument>((before, [key, value]) => {
    const sections = isSection(before[key]) && isSection(value)
    return { ...before, [key]: sections ? { ...(before[key] as object), ...(value as object) } : value }
  }, document)
  const result = checkValue(merged, agentConfigSchema)
  if ('value' in result) return result.value
  // Whoever wrote no file knows settings by their flags.
  const named = (problem: Problem) => {
    const flag = file === undefined ? flagOf(problem.path) : undefined
    return flag === undefined ? problem : { ...problem, path: `${flag} (${problem.path})` }
  }
  throw new IdentityError('config_invalid', describeProblems(file ?? 'the flags', result.problems.map(named)))
}

function isSection(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
