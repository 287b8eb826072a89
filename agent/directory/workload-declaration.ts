import { z } from 'zod'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Readers } from '../volume/readers.ts'
import type { PodRef } from '../workloads/workload.ts'

/** A workload without Kubernetes, as a YAML file declares it. */
export const workloadDeclarationSchema = z
  .strictObject({
    /** Names the folder with its files. */
    name: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'is not a lower-case DNS label')
      .describe('The name of the workload, and of its folder.'),
    /** A token of the claim shape that kubelet's have. Read again and again. */
    tokenFile: z.string().min(1).describe("The workload's pod-bound ServiceAccount token."),
    namespace: z
      .string()
      .min(1)
      .optional()
      .describe('The namespace that the token must be of; any, where none is said. A token of another is refused.'),
    serviceAccount: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The ServiceAccount that the token must be of; any, where none is said. Say it wherever somebody else than the agent and root may write the token file: he could put a token of another workload there.',
      ),
    group: z
      .int()
      .nonnegative()
      .optional()
      .describe(
        'The number of the group that may read the files and connect: keys 0440, socket 0770, the folder 0750. The agent must be in it, or be root.',
      ),
    readers: z
      .enum(['owner', 'everyone'])
      .default('owner')
      .describe(
        'Without a group, who may read the files and connect. owner: the user that the agent runs as (keys 0400, socket 0700, the folder 0700). everyone: every user of the machine who reaches the folder (keys 0444, socket 0777, the folder 0755).',
      ),
  })
  .refine(({ group, readers }) => group === undefined || readers !== 'everyone', {
    path: ['readers'],
    message: 'is everyone, and yet there is a group',
  })

export type WorkloadDeclaration = z.output<typeof workloadDeclarationSchema>

/** Whom a declaration lets in. */
export function readersOf({ group, readers }: Pick<WorkloadDeclaration, 'group' | 'readers'>): Readers {
  return group ?? readers
}

/** Why a token of `pod` is not the one of a declaration; undefined if it is. What the token says instead is not repeated. */
export function mismatch(declaration: WorkloadDeclaration, pod: PodRef): IdentityError | undefined {
  const { namespace = pod.namespace, serviceAccount = pod.serviceAccount, tokenFile } = declaration
  if (namespace === pod.namespace && serviceAccount === pod.serviceAccount) return undefined
  const expected = [
    ...(declaration.serviceAccount === undefined ? [] : [`ServiceAccount ${serviceAccount}`]),
    ...(declaration.namespace === undefined ? [] : [`namespace ${namespace}`]),
  ].join(' in ')
  return new IdentityError('workload_mismatch', `the token in ${tokenFile} is not of ${expected}, as is declared`)
}
