import { z } from 'zod'
import { agentConfigSchema } from '../agent/config.ts'
import { workloadDeclarationSchema } from '../agent/directory/workload-declaration.ts'
import { brokerConfigSchema } from '../broker/config.ts'
import { formatDuration } from '../core/runtime/duration.ts'
import { identityTemplateSchema } from '../broker/registration/identity-template.ts'

/** docs/configuration.md: every setting of both programs, and the objects that are read from directories. */
export function configurationDocument(): string {
  return `# Configuration

Made from the schemas by \`npm run generate\`. Files are YAML. Unknown keys are errors, and all problems of a file are listed together: \`node broker/main.ts config-check FILE\`, \`node agent/main.ts config-check FILE\`. (Settings that contradict each other are told once each is right by itself; of the files that are named only the broker's templates are read before the start.) Durations are texts with a unit, such as \`90s\`, \`30m\` or \`1h30m\`. Secrets are named by the path of their file. For development both programs start from flags alone (\`--help\` lists them).

## Broker

${settings(brokerConfigSchema)}

## Agent

${settings(agentConfigSchema)}

## IdentityTemplate

One object a file in the broker's \`templates.directory\`, or an object of the API server ([objects/identity-template.md](objects/identity-template.md)). Where there is none, every pod is \`spiffe://<trust domain>/ns/<namespace>/sa/<service account>\`. A change takes effect with the next issuance; a file that is wrong leaves the last good one in force.

${settings(identityTemplateSchema)}

## Declared workloads

One file a workload in the agent's \`workloads.directory\`, where there is no Kubernetes.

${settings(workloadDeclarationSchema)}
`
}

interface JsonSchema {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly minimum?: number
  readonly maximum?: number
}

function settings(schema: z.ZodType): string {
  const root = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema }) => {
      const { def } = zodSchema._zod
      // A default is a value of the output; those of durations are milliseconds, and are shown as they would be written.
      if (def.type === 'default' && def.innerType._zod.def.type === 'pipe' && typeof def.defaultValue === 'number') {
        jsonSchema.default = formatDuration(def.defaultValue)
      }
    },
  }) as JsonSchema
  return ['| setting | value | meaning |', '| --- | --- | --- |', ...rowsOf(root, '')].join('\n')
}

function rowsOf({ properties = {}, required = [] }: JsonSchema, prefix: string): string[] {
  return Object.entries(properties).flatMap(([name, property]) => {
    const path = `${prefix}${name}`
    const isRequired = required.includes(name) && property.default === undefined
    const row = `| \`${path}\` | ${valueOf(property, isRequired)} | ${property.description ?? ''} |`
    return [row, ...rowsOf(property, `${path}.`), ...rowsOf(property.items ?? {}, `${path}[].`)]
  })
}

function valueOf(
  { type, enum: choices, const: only, default: preset, minimum, maximum }: JsonSchema,
  isRequired: boolean,
): string {
  const kind = choices
    ? choices.map((choice) => `\`${String(choice)}\``).join(' or ')
    : only === undefined
      ? (type ?? 'text')
      : `\`${JSON.stringify(only)}\``
  const bounds =
    minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? ` ${minimum}–${maximum}` : ''
  if (isRequired) return `${kind}${bounds}, **required**`
  return preset === undefined || isEmptyObject(preset)
    ? `${kind}${bounds}`
    : `${kind}${bounds}, default \`${shown(preset)}\``
}

function shown(preset: unknown): string {
  return typeof preset === 'string' ? preset : JSON.stringify(preset)
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
