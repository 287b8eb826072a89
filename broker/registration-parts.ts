import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import type { AttestationParts } from './attestation-parts.ts'
import { type BrokerConfig, templateRulesOf } from './config.ts'
import type { BrokerEnvironment } from './environment.ts'
import type { BROKER_METRICS } from './metrics.ts'
import type { Problems } from './problems.ts'
import type { Readiness } from './readiness.ts'
import { Registrations } from './registration/registrations.ts'
import { TemplateDirectory } from './registration/template-directory.ts'
import type { TemplateSource } from './registration/template-source.ts'
import { templateProblems } from './template-problems.ts'

/** What templates are read and told of with. */
export interface RegistrationParts {
  readonly environment: BrokerEnvironment
  readonly lifecycle: Lifecycle
  readonly metrics: Metrics<typeof BROKER_METRICS>
  readonly readiness: Readiness
  readonly problems: Problems
}

/** Who gets which identity, as the configuration has it; without templates the built-in one serves everybody. */
export async function startRegistrations(
  config: BrokerConfig,
  attestation: Pick<AttestationParts, 'podFacts' | 'kubernetes'>,
  parts: RegistrationParts,
): Promise<Registrations> {
  const { minTtl, maxTtl, defaultTtl } = config.issuance
  const templates = await templateSource(config, attestation, parts)
  return new Registrations(
    { templates, podFacts: attestation.podFacts, trustDomain: config.trustDomain },
    { minTtlMs: minTtl, maxTtlMs: maxTtl, defaultTtlMs: defaultTtl },
  )
}

async function templateSource(
  config: BrokerConfig,
  { kubernetes }: Pick<AttestationParts, 'kubernetes'>,
  parts: RegistrationParts,
): Promise<TemplateSource> {
  const { directory, customResources = false } = config.templates ?? {}
  if (customResources && kubernetes) {
    const { startTemplateObjects } = await import('./template-objects.ts')
    return startTemplateObjects(templateRulesOf(config), kubernetes.api, parts)
  }
  if (directory === undefined) return { current: () => [] }
  const { environment, lifecycle, metrics, problems } = parts
  const source = await TemplateDirectory.open({
    directory,
    rules: templateRulesOf(config),
    clock: environment.clock,
    onProblems: templateProblems({ log: environment.log, metrics, problems }),
  })
  lifecycle.add('templates', () => source.close())
  return source
}
