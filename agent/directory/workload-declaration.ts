import { z } from 'zod'

/** A workload without Kubernetes, as a YAML file declares it. */
export const workloadDeclarationSchema = z.strictObject({
  /** Names the folder with its files. */
  name: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'is not a lower-case DNS label')
    .describe('The name of the workload, and of its folder.'),
  /** A token of the claim shape that kubelet's have. Read again and again. */
  tokenFile: z.string().min(1).describe("The workload's pod-bound ServiceAccount token."),
  group: z.int().nonnegative().optional().describe('The group that may read the files and connect. Default: everyone.'),
})

export type WorkloadDeclaration = z.output<typeof workloadDeclarationSchema>
