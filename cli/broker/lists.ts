import type {
  Agent,
  Identity,
  ListIdentitiesRequestSchema,
  Template,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { AdminChannel } from './admin-channel.ts'

const PAGE = 500
/** A list of more pages than this is cut off: 100,000 agents. */
const MAX_PAGES = 200

export function everyAgent(admin: AdminChannel): Promise<Agent[]> {
  return everyPage(async (page) => {
    const { agents: items, nextPageToken } = await admin.ask((service, options) => service.listAgents(page, options))
    return { items, nextPageToken }
  })
}

export function everyTemplate(admin: AdminChannel): Promise<Template[]> {
  return everyPage(async (page) => {
    const { templates: items, nextPageToken } = await admin.ask((service, options) =>
      service.listTemplates(page, options),
    )
    return { items, nextPageToken }
  })
}

/** SVIDs, newest first, until there are `limit` of them or no more. */
export function identities(
  admin: AdminChannel,
  filter: MessageInitShape<typeof ListIdentitiesRequestSchema>,
  limit: number,
): Promise<Identity[]> {
  return everyPage(async (page) => {
    const { identities: items, nextPageToken } = await admin.ask((service, options) =>
      service.listIdentities({ ...filter, ...page }, options),
    )
    return { items, nextPageToken }
  }, limit)
}

/** A page may be empty and still not be the last: only the token says. */
async function everyPage<T>(
  list: (page: { pageSize: number; pageToken: string }) => Promise<{ items: readonly T[]; nextPageToken: string }>,
  limit = Number.POSITIVE_INFINITY,
): Promise<T[]> {
  const all: T[] = []
  let pageToken = ''
  for (let page = 0; page < MAX_PAGES && all.length < limit; page += 1) {
    const { items, nextPageToken } = await list({ pageSize: Math.min(PAGE, limit - all.length), pageToken })
    all.push(...items)
    pageToken = nextPageToken
    if (pageToken === '') break
  }
  return all.slice(0, limit)
}
