import { z } from 'zod'

const condition = z.object({
  type: z.string().max(316).describe('Ready.'),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().max(1024).describe('Valid, NoMatch, Conflict or Invalid: one word for what the message says.'),
  message: z.string().max(32_768).describe('What it has come to, and what to do.'),
  observedGeneration: z.int().min(0).describe('The generation of the object that this is about.'),
  lastTransitionTime: z.string().meta({ format: 'date-time' }).describe('When status last changed.'),
})

/** What the broker says of a template: written by it alone, on `/status`. */
export const templateStatusSchema = z.object({
  observedGeneration: z.int().min(0).describe('The generation of the object that the broker has looked at.').optional(),
  serves: z
    .object({
      pods: z.int().min(0).describe('Pods with a volume of ours that the template selects.'),
      serviceAccounts: z
        .array(z.string().max(320))
        .max(20)
        .meta({ 'x-kubernetes-list-type': 'atomic' })
        .describe('Their ServiceAccounts, as namespace/name: the first 20.'),
    })
    .describe('Which workloads it serves. Absent as long as the broker may not see pods.')
    .optional(),
  conditions: z
    .array(condition)
    .max(8)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .describe('Ready: whether pods get their identities by it.')
    .optional(),
})

export type TemplateStatus = z.output<typeof templateStatusSchema>
export type Condition = z.output<typeof condition>
