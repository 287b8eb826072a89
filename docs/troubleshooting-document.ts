import { ERROR_CODES, type ErrorCode } from '../core/runtime/error-codes.ts'
import { asMarkdown } from './markdown-text.ts'
import { HEADINGS, PLACES, TROUBLESHOOTING } from './troubleshooting-entries.ts'

/** docs/troubleshooting.md: what is seen first, then every code with its meaning and remedy, and what else helps. */
export function troubleshootingDocument(): string {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[]
  return `${BEGINNING}\n${codes.map(section).join('\n')}`
}

function section(code: ErrorCode): string {
  const { meaning, remedy } = ERROR_CODES[code]
  // A code that is new is in the document at once; the test asks for the rest.
  const { met, text } = TROUBLESHOOTING[code] ?? { met: [], text: '' }
  const heading = HEADINGS[code]
  return `${heading === undefined ? '' : `## ${heading}\n\n`}### \`${code}\`

_Met in ${listed(met.map((place) => PLACES[place]))}._

${asMarkdown(meaning)} **${asMarkdown(remedy)}**

${text}
`
}

function listed(places: readonly string[]): string {
  if (places.length < 2) return places.join('')
  return `${places.slice(0, -1).join(', ')} and ${places.at(-1) ?? ''}`
}

const BEGINNING = `# Troubleshooting

Made by \`npm run generate\` from \`core/runtime/error-codes.ts\` and \`docs/troubleshooting-entries.ts\`.

Two commands look at everything below for you, and give a reason and a remedy for each thing they find:

\`\`\`sh
countersign check
countersign explain pod NAME --namespace NAMESPACE
\`\`\`

## What is seen

**\`helm install\` says that an object exists and cannot be imported.** It was made without Helm: by \`deploy/manifests\`, by hand, or by somebody else. \`countersign check --pre\` names it. If it is of an earlier installation of ours, \`helm install --take-ownership\` takes it over, as it is with what it holds.

**A pod stays in \`ContainerCreating\`.** \`kubectl describe pod NAME\` has an event \`FailedMount\`. If it ends in \`desc = CODE: …\`, look the code up below. Else it is kubelet that speaks:

| kubelet says | means |
| --- | --- |
| \`driver name csi.countersign.dev not found in the list of registered CSI drivers\` | No agent runs on the node of the pod: \`kubectl -n countersign-agent get pods -o wide\`. A taint that \`agent.tolerations\` does not tolerate, a folder of kubelet that is not \`agent.kubeletRoot\`, or an agent that does not start, or has just started: after one that ended as it started kubelet waits, two minutes at most. |
| \`volume mode "Ephemeral" not supported by driver\` or \`csidriver… not found\` | The CSIDriver object is missing or somebody else's: \`helm upgrade\` brings it back. |
| \`DeadlineExceeded\` | The agent waits for the broker: its \`/readyz\` says why. |
| nothing, and the pod does not exist at all | An admission policy forbids inline CSI volumes: \`kubectl describe replicaset\`, and \`countersign check --pre\`. |

**A workload says that a peer's certificate is not trusted.** Read both sides: \`countersign svid show\` has the ID, the authority and the end of what a pod holds. If an authority is missing from the \`ca.crt\` of one of them, its agent is behind: \`countersign check\`, _every connected agent has enforced the current trust bundle_. A program that read its files once at its start, and never again, is the other half of the cases: it must watch them, or be told.

**A workload's certificate has expired.** [\`identity_expired\`](#identity_expired).

**The broker or an agent is not ready.** \`countersign check\` says why, or \`/readyz\` of the pod itself. Pods that have their identity are served by an agent that is not ready.

\`\`\`sh
kubectl -n countersign-system port-forward deploy/countersign-broker 9090 &   # of an agent: -n countersign-agent pod/NAME
curl localhost:9090/readyz
\`\`\`

**The broker restarts again and again.** \`kubectl -n countersign-system logs deploy/countersign-broker --previous\` ends with a code, and what is wrong.

**A peer gets more or less than it should.** Countersign says who somebody is, not what they may do. Compare the ID (\`countersign svid show\`) with what the other side expects.

## Where codes are

Every refusal carries its code: before the colon of a gRPC message and of an event, as \`code\` in a line of the log and in an audit record, as a label of \`countersign_broker_svids_refused_total\`, \`countersign_agent_renewals_total\`, \`countersign_agent_broker_failures_total\` and \`countersign_agent_csi_calls_total\`. What is tried again, and fails for the same reason as before, is told once in the log (what kubelet asks for, each time); the metrics count all of them. [errors.md](errors.md) has the codes in one table, with the gRPC status that each travels as.
`
