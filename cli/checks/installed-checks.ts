import { AGENT_CHECKS } from './agent-checks.ts'
import { BROKER_CHECKS } from './broker-checks.ts'
import type { Check } from './check.ts'
import type { InstalledFacts } from './facts.ts'
import { KUBERNETES_CHECKS } from './kubernetes-checks.ts'
import { NODE_CHECKS } from './node-checks.ts'
import { OBJECT_CHECKS } from './object-checks.ts'
import { POD_CHECKS } from './pod-checks.ts'
import { TEMPLATE_CHECKS } from './template-checks.ts'
import { TRUST_CHECKS } from './trust-checks.ts'

/** What `countersign check` looks at, in this order. */
export const INSTALLED_CHECKS: readonly Check<InstalledFacts>[] = [
  ...KUBERNETES_CHECKS,
  ...NODE_CHECKS,
  ...OBJECT_CHECKS,
  ...BROKER_CHECKS,
  ...TRUST_CHECKS,
  ...AGENT_CHECKS,
  ...TEMPLATE_CHECKS,
  ...POD_CHECKS,
]
