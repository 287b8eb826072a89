import type { MessageInitShape } from '@bufbuild/protobuf'
import { durationFromMs, timestampFromDate } from '@bufbuild/protobuf/wkt'
import {
  ConditionStatus,
  type ListTemplatesRequest,
  ListTemplatesRequestSchema,
  type ListTemplatesResponseSchema,
  type TemplateSchema,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { askedPage } from './page-token.ts'

/** An IdentityTemplate as operators see it. */
export interface TemplateView {
  readonly name: string
  readonly inForce: boolean
  readonly spiffeId: string
  /** In words; empty for one that selects all pods. */
  readonly selects: string
  readonly ttlMs: number | undefined
  readonly keyType: string
  readonly conditions: readonly TemplateCondition[]
  readonly problems: readonly { readonly path: string; readonly message: string }[]
  /** `undefined` where nobody counts. */
  readonly pods: number | undefined
  readonly serviceAccounts: readonly string[]
}

export interface TemplateCondition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly lastTransition: Date | undefined
}

const STATUS = {
  True: ConditionStatus.TRUE,
  False: ConditionStatus.FALSE,
  Unknown: ConditionStatus.UNSPECIFIED,
} as const

/** `ListTemplates`: those in force and those that are wrong, by name. */
export function listTemplates(
  request: ListTemplatesRequest,
  templates: readonly TemplateView[],
): MessageInitShape<typeof ListTemplatesResponseSchema> {
  const page = askedPage(ListTemplatesRequestSchema, request, (place) => place.length <= 1000)
  const { after } = page
  const wanted = templates
    .filter((template) => !request.onlyWithProblems || hasProblems(template))
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .filter(({ name }) => after === undefined || name > after)
  const shown = wanted.slice(0, page.size)
  return {
    templates: shown.map(templateMessage),
    nextPageToken: page.tokenOf(wanted.length > shown.length ? shown.at(-1)?.name : undefined),
  }
}

function hasProblems({ problems, conditions, inForce }: TemplateView): boolean {
  return !inForce || problems.length > 0 || conditions.some(({ status }) => status === 'False')
}

function templateMessage(template: TemplateView): MessageInitShape<typeof TemplateSchema> {
  const { name, inForce, spiffeId, selects, ttlMs, keyType, conditions, problems, pods, serviceAccounts } = template
  return {
    name,
    inForce,
    spiffeId,
    selects,
    keyType,
    serviceAccounts: [...serviceAccounts],
    problems: problems.map(({ path, message }) => ({ path, message })),
    conditions: conditions.map(({ type, status, reason, message, lastTransition }) => ({
      type,
      status: STATUS[status],
      reason,
      message,
      ...(lastTransition && { lastTransition: timestampFromDate(lastTransition) }),
    })),
    ...(ttlMs !== undefined && { ttl: durationFromMs(ttlMs) }),
    ...(pods !== undefined && { pods }),
  }
}
