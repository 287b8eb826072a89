import { AGENT_METRICS } from '../agent/metrics.ts'
import { BROKER_METRICS } from '../broker/metrics.ts'
import type { MetricTable } from '../core/runtime/metrics.ts'

/** docs/metrics.md: every metric of both programs. */
export function metricsDocument(): string {
  return `# Metrics

Made from \`broker/metrics.ts\` and \`agent/metrics.ts\` by \`npm run generate\`. Both programs answer \`/metrics\` on their operations address. Labels hold values of small closed sets: a code is one of [errors.md](errors.md), never a pod, volume or serial number.

## Broker

${table(BROKER_METRICS)}

## Agent

${table(AGENT_METRICS)}
`
}

function table(metrics: MetricTable): string {
  const rows = Object.entries(metrics).map(
    ([name, { kind, help, labels = [] }]) =>
      `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
  )
  return ['| metric | kind | labels | what it says |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
