import { toJson } from '@bufbuild/protobuf'
import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt'
import type { Command } from 'commander'
import {
  AgentSchema,
  type Agent,
  type Authority,
  AuthorityStateSchema,
  GetStatusResponseSchema,
  type GetStatusResponse,
  ListAuthoritiesResponseSchema,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { everyAgent } from '../broker/lists.ts'
import { jsonText } from '../output/json.ts'
import { fields, table } from '../output/table.ts'
import { fromNow, instantAndSpan, seconds, span } from '../output/time.ts'
import type { CommandContext } from './command-context.ts'

export function addStatusCommand(program: Command, context: CommandContext): void {
  program
    .command('status')
    .summary('the broker, its authorities and the agents')
    .description('How the broker is, which authorities there are, and which nodes have an agent.')
    .action(async (_flags: object, command: Command) => {
      const session = context.session(command)
      const admin = await session.admin()
      const status = await admin.ask((service, options) => service.getStatus({}, options))
      const [authorities, agents] = await Promise.all([
        admin.ask((service, options) => service.listAuthorities({}, options)),
        everyAgent(admin),
      ])
      const now = context.clock.now()
      if (session.options.json)
        context.out.write(
          jsonText({
            status: toJson(GetStatusResponseSchema, status),
            authorities: toJson(ListAuthoritiesResponseSchema, authorities),
            agents: agents.map((agent) => toJson(AgentSchema, agent)),
          }),
        )
      else
        context.out.write(
          [statusText(status, now), authoritiesText(authorities.authorities, now), agentsText(agents, now)].join('\n'),
        )
    })
}

export function statusText(status: GetStatusResponse, now: Date): string {
  const { settings, problems, notReady, startedAt } = status
  const all = fields([
    ['Trust domain', status.trustDomain],
    [
      'Broker',
      `${status.version} on ${status.host}${startedAt ? `, for ${span(now.getTime() - timestampMs(startedAt))}` : ''}`,
    ],
    ['Ready', notReady.length === 0 ? 'yes' : `no: ${notReady.join('; ')}`],
    ['Own SVID ends', instantAndSpan(status.ownSvidNotAfter, now)],
    ['Authority ends', instantAndSpan(status.activeAuthorityNotAfter, now)],
    ['Trust bundle', `sequence ${status.bundleSequence}`],
    ['Agents', `${status.agentsConnected} connected, ${status.agentsMissing} missing`],
    [
      'Templates',
      settings &&
        (status.templates === 0 ? 'the built-in one' : `${status.templates}, from ${settings.templateSource}`),
    ],
    ['Tokens', settings && `audience ${settings.audience}, believed by ${settings.attestationMode}`],
    ['Lifetimes', lifetimes(status)],
    [
      'Problems',
      problems.length === 0
        ? 'none'
        : problems.map(({ code, message, remedy }) => `${code}: ${message}\n→ ${remedy}`).join('\n'),
    ],
  ])
  return all
}

function lifetimes({ settings }: GetStatusResponse): string | undefined {
  const [standard, least, most] = [settings?.defaultTtl, settings?.minTtl, settings?.maxTtl].map(
    (ttl) => ttl && span(durationMs(ttl)),
  )
  return standard && least && most && `${standard} unless a template says otherwise, ${least} to ${most}`
}

export function authoritiesText(authorities: readonly Authority[], now: Date): string {
  return table(
    ['AUTHORITY', 'STATE', 'ENDS', 'WAITS FOR'],
    authorities.map(({ keyId, state, notAfter, trustedUntil, activation }) => [
      keyId,
      AuthorityStateSchema.value[state]?.localName.toLowerCase() ?? '',
      trustedUntil ? `trusted ${fromNow(trustedUntil, now).replace('in ', 'for ')}` : fromNow(notAfter, now),
      waitsFor(activation, now),
    ]),
  )
}

function waitsFor(activation: Authority['activation'], now: Date): string {
  if (!activation) return ''
  const { waitingForCount, waitingForNodes, earliest } = activation
  if (waitingForCount > 0) return `${waitingForCount} agents: ${waitingForNodes.slice(0, 5).join(', ')}`
  return earliest && timestampMs(earliest) > now.getTime() ? `its least delay, ${fromNow(earliest, now)}` : ''
}

export function agentsText(agents: readonly Agent[], now: Date): string {
  return table(
    ['NODE', 'CONNECTED', 'VERSION', 'BUNDLE', 'CLOCK', 'SVID ENDS', 'HOLDS UNTIL'],
    agents.map((agent) => [
      agent.nodeName,
      agent.connected ? fromNow(agent.connectedSince, now).replace(' ago', '') || 'yes' : 'no',
      agent.version,
      agent.upToDate ? 'current' : `behind (${agent.enforcedBundleSequence})`,
      agent.clockSkew ? seconds(durationMs(agent.clockSkew)) : '',
      fromNow(agent.svidNotAfter, now),
      fromNow(agent.holdsUntil, now),
    ]),
  )
}
