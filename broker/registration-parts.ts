import type { AttestationParts } from './attestation-parts.ts'
import { type BrokerConfig, templateRulesOf } from './config.ts'
import { Registrations } from './registration/registrations.ts'
import { TemplateDirectory } from './registration/template-directory.ts'
import type { TemplateSource } from './registration/template-source.ts'
import type { TemplateParts } from './template-objects.ts'
import { templateProblems } from './template-problems.ts'

/** Who gets which identity, as the configuration has it; without templates the built-in one serves everybody. */
export async function startRegistrations(
  config: BrokerConfig,
  attestation: Pick<AttestationParts, 'podFacts' | 'kubernetes'>,
  parts: TemplateParts,
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
  parts: TemplateParts,
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
