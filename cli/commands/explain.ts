import { toJson } from '@bufbuild/protobuf'
import type { Command } from 'commander'
import { printableLine } from '../../core/runtime/printable.ts'
import {
  type ExplainPodResponse,
  ExplainPodResponseSchema,
  type Identity,
  IdentitySchema,
  type Refusal,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { type Read, valueOf } from '../checks/check.ts'
import { kubernetesSteps } from '../explain/explanation.ts'
import type { Exit } from '../exit/exit-code.ts'
import { type Explanation, mergeExplanation } from '../explain/merge.ts'
import { attempt } from '../facts/attempt.ts'
import { gatherPodFacts } from '../facts/pod-facts.ts'
import { markOf } from '../output/check-report.ts'
import { jsonText } from '../output/json.ts'
import type { Terminal } from '../output/terminal.ts'
import { fromNow } from '../output/time.ts'
import { namedPod } from '../session/named-pod.ts'
import type { Session } from '../session/session.ts'
import type { CommandContext } from './command-context.ts'

export function addExplainCommand(program: Command, context: CommandContext): void {
  const explain = program
    .command('explain')
    .summary('why a pod has its identity, or none')
    .description('Explains, step by step.')
  explain
    .command('pod')
    .summary('every step from the pod to its identity, with its outcome')
    .description(
      'Every step from a pod to its identity: what the broker did and found, and what kubelet says. Ends with 0 if the pod has an identity and nothing stands in the way of the next one.',
    )
    .argument('<name>', 'the pod, or namespace/name; without a namespace that of --namespace, or of the context')
    .action(async (text: string, _flags: object, command: Command) => {
      const session = context.session(command)
      const cluster = await session.cluster()
      const { namespace, name } = await namedPod('<name>', text, session)
      const [facts, answer] = await Promise.all([
        gatherPodFacts(cluster, { namespace, name }, context.clock.now()),
        attempt(() => askBroker(session, namespace, name)),
      ])
      const explanation = mergeExplanation(
        kubernetesSteps(facts),
        'value' in answer ? answer.value : { failure: answer.failure.message },
      )
      context.out.write(
        session.options.json
          ? jsonText(explanationDocument(explanation, answer))
          : explanationText(
              { pod: `${namespace}/${name}`, explanation, answer: valueOf(answer), now: context.clock.now() },
              context.out,
            ),
      )
      if (!explanation.hasIdentity) context.end(exitFor(explanation, answer))
    })
}

/** Where nobody knows whether the pod has an identity, why the broker could not be asked is what the program ends with. */
function exitFor({ outcome }: Explanation, answer: Read<ExplainPodResponse>): Exit {
  if (outcome !== 'warn' || 'value' in answer) return 'failed'
  const { kind } = answer.failure
  return kind === 'forbidden' ? 'refused' : kind === 'unreachable' ? 'unreachable' : 'failed'
}

async function askBroker(session: Session, namespace: string, name: string): Promise<ExplainPodResponse> {
  const admin = await session.admin()
  return admin.ask((service, options) => service.explainPod({ namespace, name }, options))
}

function explanationDocument(
  { hasIdentity, outcome, summary, steps }: Explanation,
  answer: Read<ExplainPodResponse>,
): object {
  return {
    hasIdentity,
    outcome,
    summary,
    steps,
    ...('value' in answer
      ? { broker: toJson(ExplainPodResponseSchema, answer.value) }
      : { brokerFailure: answer.failure }),
    identities: (valueOf(answer)?.identities ?? []).map((each) => toJson(IdentitySchema, each)),
  }
}

interface Rendered {
  readonly pod: string
  readonly explanation: Explanation
  readonly answer: ExplainPodResponse | undefined
  readonly now: Date
}

export function explanationText(
  { pod, explanation, answer, now }: Rendered,
  terminal: Pick<Terminal, 'hasColour'>,
): string {
  const { outcome, summary, steps } = explanation
  const width = Math.max(...steps.map(({ name }) => name.length))
  const lines = steps.flatMap(({ name, outcome, found, code, remedy }) => [
    `  ${markOf(outcome, terminal)} ${name.padEnd(width)}  ${printableLine(code === undefined || found.includes(code) ? found : `${found} (${code})`)}`,
    ...(remedy ? [`    ${' '.repeat(width)}  → ${printableLine(remedy)}`] : []),
  ])
  const parts = [
    [`${markOf(outcome, terminal)} ${pod}: ${printableLine(summary)}`, '', ...lines],
    ...(answer?.identities.length
      ? [['SVIDs, newest first:', ...answer.identities.map((each) => `  ${svidLine(each, now)}`)]]
      : []),
    ...(answer?.refusals.length
      ? [['Refusals, newest first:', ...refusalLines(answer.refusals, now).map((line) => `  ${line}`)]]
      : []),
    ...(answer?.nextRenewal ? [[`Next renewal: ${fromNow(answer.nextRenewal, now)}`]] : []),
  ]
  return `${parts.map((part) => part.join('\n')).join('\n\n')}\n`
}

function svidLine({ spiffeId, serialNumber, issuedAt, notAfter }: Identity, now: Date): string {
  return printableLine(
    `${spiffeId}, serial number ${serialNumber}, issued ${fromNow(issuedAt, now)}, expires ${fromNow(notAfter, now)}`,
  )
}

/** An agent asks again and again, and is refused for the same reason: that is one line. */
function refusalLines(refusals: readonly Refusal[], now: Date): string[] {
  const alike = Map.groupBy(refusals, ({ code, reason, meaning }) => `${code}: ${reason || meaning}`)
  return Array.from(alike, ([why, [newest, ...older]]) => {
    const last = fromNow(newest?.at, now)
    return printableLine(`${older.length === 0 ? last : `${older.length + 1} times, last ${last}`}: ${why}`)
  })
}
