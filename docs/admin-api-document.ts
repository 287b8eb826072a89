import { type AdminMethod, PERMISSIONS } from '../broker/admin/permissions.ts'
import { STEPS } from '../broker/admin/explanation/step.ts'
import { ERROR_CODES } from '../core/runtime/error-codes.ts'

/** What each method tells, and the command that shows it. */
const METHODS: Record<AdminMethod, { readonly tells: string; readonly command: string }> = {
  getStatus: {
    tells: 'how the broker is, all problems that it knows of, and the settings that others must agree with',
    command: 'countersign status',
  },
  listIdentities: {
    tells:
      'SVIDs that were issued, newest first, by namespace, SPIFFE ID or prefix, ServiceAccount, node, pod, kind, state',
    command: 'countersign identity list',
  },
  getIdentity: { tells: 'one SVID with the record of its issuance', command: 'countersign identity show' },
  listAuthorities: {
    tells: 'the signing authorities, when the next one comes, and which nodes it waits for',
    command: 'countersign status',
  },
  listAgents: {
    tells:
      'agents by node: connected since when, clock skew, enforced bundle, and nodes that hold SVIDs without an agent',
    command: 'countersign check',
  },
  getBundle: { tells: 'the trust bundle', command: 'countersign bundle show' },
  listTemplates: { tells: 'IdentityTemplates with their conditions and problems', command: 'countersign check' },
  explainPod: { tells: 'why a pod has its identity, or none, step by step', command: 'countersign explain pod' },
  listAuditRecords: { tells: 'records of the audit chain, newest first', command: '' },
}

const OWN_CODES = Object.entries(ERROR_CODES).filter(
  ([code]) => code.startsWith('admin_') || code === 'identity_not_found',
)

/** docs/admin-api.md: its tables are those that the broker decides by. */
export function adminApiDocument(): string {
  const methods = Object.entries(PERMISSIONS).map(([method, { verb, resource, namespaceOf }]) => {
    const { tells, command } = METHODS[method as AdminMethod]
    const name = `${method.charAt(0).toUpperCase()}${method.slice(1)}`
    const where = namespaceOf ? 'that of the request; all where it names none' : 'the whole cluster'
    return `| \`${name}\` | ${verb} | ${resource} | ${where} | ${tells} | ${command === '' ? '' : `\`${command}\``} |`
  })
  const steps = Object.entries(STEPS).map(([name, text]) => `| \`${name}\` | ${text} |`)
  const codes = OWN_CODES.map(
    ([code, { status, meaning, remedy }]) => `| \`${code}\` | ${status} | ${meaning} | ${remedy} |`,
  )
  return `# Admin API

Made from \`broker/admin/permissions.ts\` and \`broker/admin/explanation/step.ts\` by \`npm run generate\`.

\`countersign.admin.v1.AdminService\` (\`proto/countersign/admin/v1/admin.proto\`) answers who has which identity, and why or why not. It changes nothing. The [\`countersign\` command](cli.md) is made of it; whoever builds something else calls the same methods.

It is served where \`admin.listen\` says (the chart: port 8444 of the broker's pod), apart from the port of agents, with limits of its own: gRPC over TLS 1.3, ALPN \`h2\`. The broker shows its SVID, \`spiffe://<trust domain>/countersign/broker\`, which has no host name: a client knows it by that ID and the trust bundle (a SPIFFE library, or \`countersign\`). A tool that knows host names alone cannot tell the broker from somebody else; never send it a token that way except through \`kubectl port-forward\`, where the API server says which pod it is.

## Who calls

| caller | shows | is, for RBAC |
| --- | --- | --- |
| a person or program with access to the cluster | \`authorization: Bearer <token>\` in the metadata of the call: a ServiceAccount token for the audience \`countersign.dev/<trust domain>/admin\`, made for at most \`attestation.maxTokenLifetime\` (1h) | \`system:serviceaccount:<namespace>:<name>\`, with all groups and extras that the API server says it has |
| a workload | the client certificate of the connection: its SVID of this trust domain | the user \`spiffe://…\` (its SPIFFE ID), in the group \`countersign:svids\` and no other |

A token that comes with a call says who calls, whatever the certificate. The SVIDs of agents and of the broker are refused. Credentials for the API server itself are refused too, and should never be sent: see [why](adr/0009-operators-show-a-token-made-for-the-broker.md).

A token is checked locally first (shape, issuer, audience, times, the cluster's signature), and then by TokenReview with that one audience; an accepted one is remembered for 10 s. The API server is then asked by SubjectAccessReview whether the caller may; what is allowed is remembered for 5 s, what is not is asked anew. One user may make 100 calls at once and 20 a second. Two of them are answered at a time, and the others wait for their turn: so nobody waits for all that another one asks.

## What they may

Each method stands for a verb and a resource in the API group \`countersign.dev\`. The resources need no objects: they are names that rules are written for.

| method | verb | resource | where the rule must hold | tells | command |
| --- | --- | --- | --- | --- | --- |
${methods.join('\n')}

The chart's ClusterRole \`countersign-viewer\` allows all of it. For a team that may look into its own namespace alone:

\`\`\`yaml
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: identities, namespace: shop }
rules:
  - apiGroups: [countersign.dev]
    resources: [workloadidentities]
    verbs: [get, list]
  - apiGroups: [countersign.dev]
    resources: [podexplanations]
    verbs: [get]
\`\`\`

with a RoleBinding to a ServiceAccount, or for a workload to \`{ kind: User, name: spiffe://prod.example/ns/shop/sa/dashboard }\`. Whoever may write IdentityTemplates can give that ID to other pods.

A refusal (\`admin_permission_denied\`) names the rule that is missing in its message, ready to be put into a role, and in the facts \`user\`, \`verb\`, \`group\`, \`resource\`, \`namespace\`.

| code | gRPC status | what it means | what to do |
| --- | --- | --- | --- |
${codes.join('\n')}

Tokens are refused with the codes \`token_…\` of [errors.md](errors.md), what a request gets wrong with \`request_invalid\`.

## What is recorded

Each call is a record of the audit chain: \`admin_called\` with \`user\`, \`shownBy\` (\`token\` or \`svid\`), \`credential\` (the token's \`JTI=…\`, by which the API server's own audit log knows it), \`method\`, \`verb\`, \`resource\`, \`namespace\`, \`target\`, \`peer\`; or \`admin_refused\` with \`code\` and \`reason\` as well. Of who has not shown who it is only \`method\`, \`peer\` and \`code\` are put down, one a second in the long run; \`suppressed\` says how many were not. Of a caller that is let in more than 500 times at once, or once in five seconds in the long run (of all callers: 5000, and two a second), the rest is served and counted: \`unrecorded\` in the next \`admin_called\`.

## Lists

Lists are the newest first (identities, audit) or by name. \`page_size\` is 1 to 500, 100 where nothing is said; \`next_page_token\` leads on, and belongs to the very request that it came from. A search of the ledger takes 0.2 s at most for a page, on a thread that nobody who needs an SVID waits for (before it, up to 1 s may pass where searches without a break have kept the ledger from tidying its log): so a page may be short, or empty, and not the last one. \`searched_to\` says how far it has come. \`SVID_STATE_VALID\` is quick whatever the ledger holds, for what is valid cannot be old.

## Why a pod has its identity, or none

\`ExplainPod\` goes the way from the pod to its identity and says at each step what came of it (\`OK\`, \`FAILED\`, \`SKIPPED\`, \`UNKNOWN\`), what was found, the code of [errors.md](errors.md) where there is one, and what to do.

| step | is |
| --- | --- |
${steps.join('\n')}

The verdict is \`HAS_IDENTITY\`, \`AT_RISK\` (it has one, and a step has failed), \`WAITING\`, \`NO_IDENTITY\`, \`NOT_ASKED\` (no volume of ours), \`NO_POD\` or \`UNKNOWN\`. Whoever may ask for it sees the names of the templates that were looked at and why each selects the pod or not, and the state of the pod's node, wherever these are from. What only kubelet knows (it calls the agent, or does not) is in the events of the pod, which \`countersign explain pod\` shows beside the steps.

## By hand

\`\`\`sh
kubectl -n countersign-system port-forward deployment/countersign-broker 8444:8444 &
TOKEN=$(kubectl -n countersign-system create token countersign-cli \\
  --audience countersign.dev/prod.example/admin --duration 10m)
grpcurl -insecure -import-path proto -proto countersign/admin/v1/admin.proto \\
  -H "authorization: Bearer $TOKEN" \\
  -d '{"namespace": "shop", "name": "cart-0"}' \\
  localhost:8444 countersign.admin.v1.AdminService/ExplainPod
grpcurl -insecure -import-path proto -proto countersign/admin/v1/admin.proto \\
  -H "authorization: Bearer $TOKEN" \\
  -d '{"spiffe_id_prefix": "spiffe://prod.example/ns/shop", "state": "SVID_STATE_VALID", "page_size": 500}' \\
  localhost:8444 countersign.admin.v1.AdminService/ListIdentities
\`\`\`

The same with \`countersign explain pod cart-0 --namespace shop\` and \`countersign identity list --prefix spiffe://prod.example/ns/shop\`, which also verify the broker.
`
}
