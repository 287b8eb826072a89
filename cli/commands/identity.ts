import { toJson } from '@bufbuild/protobuf'
import { type Command, Option } from 'commander'
import { printableLine } from '../../core/runtime/printable.ts'
import {
  GetIdentityResponseSchema,
  type GetIdentityResponse,
  type Identity,
  IdentitySchema,
  SvidKind,
  SvidKindSchema,
  SvidState,
  SvidStateSchema,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { identities } from '../broker/lists.ts'
import { jsonText } from '../output/json.ts'
import { fields, table } from '../output/table.ts'
import { fromNow, instant, instantAndSpan } from '../output/time.ts'
import { limitOf, serialNumberOf, spiffeIdOf, spiffeIdPrefixOf, wordOf } from './identity-arguments.ts'
import type { CommandContext } from './command-context.ts'

const KINDS = { workload: SvidKind.WORKLOAD, agent: SvidKind.AGENT, broker: SvidKind.BROKER, any: SvidKind.UNSPECIFIED }
const STATES = {
  valid: SvidState.VALID,
  ended: SvidState.ENDED,
  expired: SvidState.EXPIRED,
  failed: SvidState.FAILED,
  any: SvidState.UNSPECIFIED,
}

interface ListFlags {
  readonly allNamespaces?: true
  readonly spiffeId?: string
  readonly prefix?: string
  readonly serviceAccount?: string
  readonly node?: string
  readonly podUid?: string
  readonly kind: keyof typeof KINDS
  readonly state: keyof typeof STATES
  readonly limit: number
}

export function addIdentityCommand(program: Command, context: CommandContext): void {
  const identity = program
    .command('identity')
    .summary('which identities were issued, to whom')
    .description('The SVIDs in the broker’s ledger.')
  identity
    .command('list')
    .summary('SVIDs, newest first')
    .description(
      'SVIDs of the ledger, newest first: without flags those of workloads that are valid now, in the namespace of the context.',
    )
    .option('-A, --all-namespaces', 'of all namespaces')
    .option('--spiffe-id <id>', 'only with exactly this SPIFFE ID', spiffeIdOf)
    .option('--prefix <id>', 'only with this SPIFFE ID or one below it, by whole path segments', spiffeIdPrefixOf)
    .option('--service-account <name>', 'only of this ServiceAccount', wordOf)
    .option('--node <name>', 'only on this node', wordOf)
    .option('--pod-uid <uid>', 'only of the pod with this UID', wordOf)
    .addOption(new Option('--kind <kind>', 'whose').choices(Object.keys(KINDS)).default('workload'))
    .addOption(new Option('--state <state>', 'in which state').choices(Object.keys(STATES)).default('valid'))
    .option('--limit <number>', 'at most so many', limitOf, 100)
    .action(async (flags: ListFlags, command: Command) => {
      const session = context.session(command)
      const isOfPods = flags.kind === 'workload'
      const namespace = flags.allNamespaces || !isOfPods ? '' : await session.namespace()
      const found = await identities(
        await session.admin(),
        {
          namespace,
          spiffeId: flags.spiffeId ?? '',
          spiffeIdPrefix: flags.prefix ?? '',
          serviceAccount: flags.serviceAccount ?? '',
          nodeName: flags.node ?? '',
          podUid: flags.podUid ?? '',
          kind: KINDS[flags.kind],
          state: STATES[flags.state],
        },
        flags.limit,
      )
      context.out.write(
        session.options.json
          ? jsonText(found.map((each) => toJson(IdentitySchema, each)))
          : identitiesText(found, { now: context.clock.now(), namespace }) + moreText(found.length, flags.limit),
      )
    })
  identity
    .command('show')
    .summary('one SVID, and how it came about')
    .description('One SVID of the ledger, with what was known as it was issued.')
    .argument('<serial-number>', 'hexadecimal, as identity list and svid show print it', serialNumberOf)
    .action(async (serialNumber: string, _flags: object, command: Command) => {
      const session = context.session(command)
      const admin = await session.admin()
      const found = await admin.ask((service, options) =>
        service.getIdentity({ serialNumber, namespace: session.options.namespace ?? '' }, options),
      )
      context.out.write(
        session.options.json
          ? jsonText(toJson(GetIdentityResponseSchema, found))
          : identityText(found, context.clock.now()),
      )
    })
}

/** A list that ends at its limit does not look complete. */
function moreText(found: number, limit: number): string {
  return found < limit ? '' : `These are the newest ${limit}; --limit shows more.\n`
}

const stateOf = ({ state }: Identity): string => SvidStateSchema.value[state]?.localName.toLowerCase() ?? ''

interface Listed {
  readonly now: Date
  /** Empty: all of them. */
  readonly namespace: string
}

export function identitiesText(found: readonly Identity[], { now, namespace }: Listed): string {
  if (found.length === 0)
    return namespace === ''
      ? 'No identities found.\n'
      : `No identities found in namespace ${printableLine(namespace)}; -A looks into all.\n`
  return table(
    ['SPIFFE ID', 'NODE', 'STATE', 'ISSUED', 'EXPIRES', 'SERIAL NUMBER'],
    found.map((each) => [
      each.spiffeId,
      each.nodeName,
      stateOf(each),
      fromNow(each.issuedAt, now),
      fromNow(each.notAfter, now),
      each.serialNumber,
    ]),
  )
}

export function identityText({ identity, details }: GetIdentityResponse, now: Date): string {
  if (!identity) return 'No identity found.\n'
  return fields([
    ['SPIFFE ID', identity.spiffeId],
    ['Serial number', identity.serialNumber],
    ['Kind', SvidKindSchema.value[identity.kind]?.localName.toLowerCase()],
    ['State', stateOf(identity)],
    ['Pod', details?.podName && `${identity.namespace}/${details.podName}`],
    ['Pod UID', identity.podUid],
    ['ServiceAccount', identity.serviceAccount && `${identity.namespace}/${identity.serviceAccount}`],
    ['Node', identity.nodeName],
    ['Issued', instantAndSpan(identity.issuedAt, now)],
    ['Valid from', instant(details?.notBefore)],
    ['Expires', instantAndSpan(identity.notAfter, now)],
    ['Ended', identity.endedAt && instantAndSpan(identity.endedAt, now)],
    ['Template', details?.template],
    ['Token', details && (details.reviewed ? 'reviewed by the API server' : 'vouched for by its signature alone')],
    ['Token ID', details?.tokenId],
    ['Authority', identity.authorityKeyId],
    ['Key (SHA-256)', identity.publicKeySha256],
    ['Audit record', details && String(details.auditSequence)],
  ])
}
