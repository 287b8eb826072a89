/** Keywords of JSON Schema that a structural schema has too, and that we use. */
const KEPT = new Set([
  ...['type', 'description', 'enum', 'format', 'minimum', 'maximum', 'minLength', 'maxLength', 'pattern'],
  ...['minItems', 'maxItems', 'maxProperties', 'required'],
])
/** As far as numbers of JSON are exact: no bound at all. */
const NO_BOUND = Number.MAX_SAFE_INTEGER

type Schema = Readonly<Record<string, unknown>>

/**
 * A JSON Schema as the structural OpenAPI v3 that a CustomResourceDefinition must have: no `const`, no references, no
 * closed objects (the API server drops unknown fields by itself, or refuses them for who asks it to). Keywords of
 * Kubernetes stay; a `pattern` gives way to a CEL rule, whose message people can read.
 */
export function structuralSchema(schema: unknown): Schema {
  const { properties, items, additionalProperties, default: preset, ...rest } = schema as Schema
  const kept = Object.entries(rest).filter(([keyword, value]) => isKept(keyword, value, rest))
  return {
    ...Object.fromEntries(kept),
    ...(isWorthTelling(preset) && { default: preset }),
    ...(isSchema(items) && { items: structuralSchema(items) }),
    ...(isSchema(additionalProperties) && { additionalProperties: structuralSchema(additionalProperties) }),
    ...(isSchema(properties) && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, structuralSchema(property)]),
      ),
    }),
  }
}

function isKept(keyword: string, value: unknown, all: Schema): boolean {
  if (keyword.startsWith('x-kubernetes-')) return true
  if (keyword === 'pattern' && 'x-kubernetes-validations' in all) return false
  if (keyword === 'required' && Array.isArray(value) && value.length === 0) return false
  return KEPT.has(keyword) && value !== NO_BOUND
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null
}

/** A default that is empty says nothing, and would stand in every object. */
function isWorthTelling(preset: unknown): boolean {
  return (
    preset !== undefined && preset !== '' && !(typeof preset === 'object' && Object.keys(preset ?? {}).length === 0)
  )
}
