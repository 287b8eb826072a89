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

/** All templates there are, by name; in no order. */
export interface TemplateCatalogue {
  readonly names: readonly string[]
  readonly isWrong: (name: string) => boolean
  readonly view: (name: string) => TemplateView
}

export interface TemplateCondition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly lastTransition: Date | undefined
}

/** Longer than any name of an object or file. */
const MAX_NAME = 1_000
const STATUS = {
  True: ConditionStatus.TRUE,
  False: ConditionStatus.FALSE,
  Unknown: ConditionStatus.UNSPECIFIED,
} as const

/** `ListTemplates`: those in force and those that are wrong, by name. */
export function listTemplates(
  request: ListTemplatesRequest,
  { names, isWrong, view }: TemplateCatalogue,
): MessageInitShape<typeof ListTemplatesResponseSchema> {
  const page = askedPage(ListTemplatesRequestSchema, request, (place) => place.length <= MAX_NAME)
  const { after } = page
  const wanted = names
    .filter((name) => (after === undefined || name > after) && (!request.onlyWithProblems || isWrong(name)))
    .toSorted()
  const shown = wanted.slice(0, page.size)
  return {
    templates: shown.map((name) => templateMessage(view(name))),
    nextPageToken: page.tokenOf(wanted.length > shown.length ? shown.at(-1) : undefined),
  }
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
