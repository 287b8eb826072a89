import { z } from 'zod'
import { brokerConfigSchema } from '../broker/config.ts'
import { duration } from '../core/runtime/config.ts'

/** What of the broker's settings a chart's `broker.config` may say; the chart decides the rest by its other values. */
const SETTINGS: Readonly<Record<string, 'all' | readonly string[]>> = {
  attestation: ['mode', 'issuer', 'maxTokenLifetime'],
  issuance: 'all',
  authority: ['mode', 'lifetime', 'keyType', 'activationLeastDelay', 'activationDeadline'],
  listener: 'all',
  ledger: ['retention'],
  bundle: ['refreshHint'],
}

interface JsonSchema {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean
}

/** The chart's `values.schema.json` with its part about `broker.config` as the broker's own schema has it now. */
export function chartValuesSchema(current: string): string {
  const schema = JSON.parse(current) as { $defs: Record<string, unknown> }
  schema.$defs['brokerConfig'] = brokerConfig()
  return JSON.stringify(schema)
}

function brokerConfig(): JsonSchema {
  const { properties = {} } = z.toJSONSchema(brokerConfigSchema, {
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema === duration) jsonSchema.pattern = '^([0-9]+(ms|s|m|h|d))+$'
      // Helm writes what it is given and no more: the broker has its own defaults.
      delete jsonSchema.default
    },
  }) as JsonSchema
  const sections = Object.entries(SETTINGS).map(([section, names]) => [section, narrowed(properties[section], names)])
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(sections) }
}

function narrowed(section: JsonSchema | undefined, names: 'all' | readonly string[]): JsonSchema {
  const all = Object.entries(section?.properties ?? {})
  const kept = names === 'all' ? all : all.filter(([name]) => names.includes(name))
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(kept) }
}
