import { hash } from 'node:crypto'
import { stringify } from 'yaml'
import { z } from 'zod'
import { identityTemplateSchema } from '../broker/registration/identity-template.ts'
import { templateStatusSchema } from '../broker/registration/template-status.ts'
import { DEFINITION_ANNOTATION } from '../cli/installation/names.ts'
import { structuralSchema } from './structural-schema.ts'

/** A kind of ours, and how kubectl shows it. */
interface Kind {
  readonly kind: string
  readonly plural: string
  readonly shortNames: readonly string[]
  readonly scope: 'Cluster' | 'Namespaced'
  readonly description: string
  readonly schema: z.ZodType
  readonly status: z.ZodType
  readonly columns: readonly Column[]
}

interface Column {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  readonly description?: string
  /** 1: only in `-o wide`. */
  readonly priority?: number
}

const GROUP = 'countersign.dev'
const VERSION = 'v1alpha1'
const ready = (field: string) => `.status.conditions[?(@.type=="Ready")].${field}`

const KINDS: readonly Kind[] = [
  {
    kind: 'IdentityTemplate',
    plural: 'identitytemplates',
    shortNames: ['idt'],
    scope: 'Cluster',
    description: 'Which identity the pods get that it selects. Exactly one template must select a pod.',
    schema: identityTemplateSchema,
    status: templateStatusSchema,
    columns: [
      { name: 'SPIFFE ID', type: 'string', jsonPath: '.spec.spiffeId' },
      { name: 'Ready', type: 'string', jsonPath: ready('status') },
      { name: 'Reason', type: 'string', jsonPath: ready('reason') },
      { name: 'Pods', type: 'integer', jsonPath: '.status.serves.pods', description: 'Pods that it serves.' },
      { name: 'TTL', type: 'string', jsonPath: '.spec.ttl', priority: 1 },
      { name: 'Key', type: 'string', jsonPath: '.spec.keyType', priority: 1 },
      { name: 'Message', type: 'string', jsonPath: ready('message'), priority: 1 },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    ],
  },
]

/** The CustomResourceDefinitions as YAML by their file names. The zod schemas are the only definition of each kind. */
export function customResourceDefinitions(): Record<string, string> {
  return Object.fromEntries(KINDS.map((kind) => [`${kind.plural}.${GROUP}.yaml`, yamlOf(definitionOf(kind))]))
}

/** `cli/installation/crds.ts`: by what the command knows the definitions of its own version. */
export function knownDefinitions(): string {
  const known = KINDS.map(definitionOf).map(({ metadata: { name, annotations } }) => ({
    name,
    version: VERSION,
    digest: annotations[DEFINITION_ANNOTATION],
  }))
  return `/** The CustomResourceDefinitions of this version of Countersign: made from the broker's schemas by \`npm run generate\`. */
export const CRDS = ${JSON.stringify(known)} as const
`
}

function yamlOf(definition: object): string {
  const note = '# Made from the schemas of the broker by `npm run generate`: change those.\n'
  return note + stringify(definition, { lineWidth: 0, aliasDuplicateObjects: false })
}

function definitionOf({ kind, plural, shortNames, scope, description, schema, status, columns }: Kind) {
  const properties = propertiesOf(schema)
  const spec = {
    group: GROUP,
    scope,
    names: {
      kind,
      listKind: `${kind}List`,
      plural,
      singular: kind.toLowerCase(),
      shortNames,
      categories: ['countersign'],
    },
    versions: [
      {
        name: VERSION,
        served: true,
        storage: true,
        subresources: { status: {} },
        additionalPrinterColumns: columns,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            description,
            required: ['spec'],
            properties: {
              apiVersion: { type: 'string' },
              kind: { type: 'string' },
              metadata: { type: 'object' },
              spec: properties['spec'],
              status: { description: 'Written by the broker.', ...structuralSchema(jsonSchemaOf(status)) },
            },
          },
        },
      },
    ],
  }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}`, annotations: { [DEFINITION_ANNOTATION]: digestOf(spec) } },
    spec,
  }
}

function digestOf(spec: object): string {
  return hash('sha256', JSON.stringify(spec)).slice(0, 16)
}

function propertiesOf(schema: z.ZodType): Record<string, object> {
  const { properties = {} } = structuralSchema(jsonSchemaOf(schema)) as { properties?: Record<string, object> }
  return properties
}

function jsonSchemaOf(schema: z.ZodType): unknown {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' })
}
