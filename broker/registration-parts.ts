import type { Clock } from '../core/runtime/clock.ts'
import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import { type BrokerConfig, templateRulesOf } from './config.ts'
import type { BROKER_METRICS } from './metrics.ts'
import type { PodFacts } from './registration/pod-facts.ts'
import { Registrations } from './registration/registrations.ts'
import { TemplateDirectory } from './registration/template-directory.ts'
import type { TemplateSource } from './registration/template-source.ts'

interface Parts {
  readonly clock: Clock
  readonly log: Log
  readonly lifecycle: Lifecycle
  readonly metrics: Metrics<typeof BROKER_METRICS>
}

/** Who gets which identity, as the configuration has it; without a directory the built-in template serves everybody. */
export async function startRegistrations(
  config: BrokerConfig,
  podFacts: PodFacts | undefined,
  parts: Parts,
): Promise<Registrations> {
  const { minTtl, maxTtl, defaultTtl } = config.issuance
  return new Registrations(
    { templates: await templateSource(config, parts), podFacts, trustDomain: config.trustDomain },
    { minTtlMs: minTtl, maxTtlMs: maxTtl, defaultTtlMs: defaultTtl },
  )
}

async function templateSource(
  config: BrokerConfig,
  { clock, log, lifecycle, metrics }: Parts,
): Promise<TemplateSource> {
  const { templates } = config
  if (!templates) return { current: () => [] }
  const directory = await TemplateDirectory.open({
    directory: templates.directory,
    rules: templateRulesOf(config),
    clock,
    onProblems: (problems) => {
      metrics.countersign_broker_template_problems.set(problems.length)
      if (problems.length === 0) log.info({}, 'all templates are good')
      else log.warn({ problems }, 'templates are wrong; the good ones before stay in force')
    },
  })
  lifecycle.add('templates', () => directory.close())
  return directory
}
