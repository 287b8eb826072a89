import type { ErrorCode } from '../core/runtime/error-codes.ts'

/** Where somebody meets a code, as the document says it. */
export const PLACES = {
  event: 'an event of the pod',
  agent: "the agent's log",
  agentReady: "the agent's `/readyz`",
  broker: "the broker's log",
  brokerReady: "the broker's `/readyz`",
  start: 'a program that ends at its start',
  audit: 'the audit records',
  cli: 'the `countersign` command',
  problems: '`countersign check`',
  stream: "the workload's SPIFFE library",
  wire: 'a client that speaks our protocols itself',
} as const

export interface TroubleshootingEntry {
  readonly met: readonly (keyof typeof PLACES)[]
  /** What the table of codes does not say: how it mostly comes about, and what to look at. Markdown. */
  readonly text: string
}

const entry = (met: TroubleshootingEntry['met'], text: string): TroubleshootingEntry => ({ met, text })

/** The headings of the document, each before the code that it stands above. */
export const HEADINGS: Readonly<Partial<Record<ErrorCode, string>>> = {
  spiffe_id_invalid: 'Values and formats',
  config_invalid: 'Configuration and state',
  token_malformed: 'Tokens',
  attestation_refused: 'Who may have which identity',
  admin_credentials_required: 'The admin API',
  authority_unavailable: 'Something is not there, or too much',
  volume_request_invalid: 'Volumes and sockets on a node',
}

/** One for each code: what a person who meets it needs beside its meaning and remedy. */
export const TROUBLESHOOTING: Readonly<Partial<Record<ErrorCode, TroubleshootingEntry>>> = {
  spiffe_id_invalid: entry(
    ['start', 'cli'],
    'Mostly a trust domain in capitals, with a port, or with `spiffe://` before it: it is a bare name such as `prod.example`. In a template such an ID is [`template_unrenderable`](#template_unrenderable) instead.',
  ),
  der_invalid: entry(
    ['wire'],
    'Certificates and requests come as [`certificate_invalid`](#certificate_invalid) and [`csr_invalid`](#csr_invalid), with this as the reason. By itself it says that a client of ours sends something else than what it should; agents do not.',
  ),
  pem_invalid: entry(
    ['agent', 'start', 'cli'],
    'A file that should hold certificates or a key is cut off, or holds text beside its blocks. `openssl x509 -in FILE -noout -text` says whether there is one at all.',
  ),
  csr_invalid: entry(
    ['wire', 'audit'],
    'The agent makes its own requests, so a workload never meets it. A client of its own signs the request with the key that the request carries, and keeps it below 16 KiB.',
  ),
  key_unsupported: entry(
    ['wire', 'audit'],
    'The agent makes keys of the kind that the template names. A client of its own, or an authority of `authority.upstream`, brought another: Ed25519 and RSA 4096, for example, are not issued for.',
  ),
  certificate_invalid: entry(
    ['agent', 'agentReady', 'start'],
    'Either the CA of `authority.upstream` is no authority that may sign SVIDs (the message says which rule it breaks), or the broker takes this agent for another node than it is: then `nodeName` (`--node-name`) is not the name of the Node object.',
  ),
  chain_untrusted: entry(
    ['agent', 'agentReady', 'cli'],
    'The agent has a bundle, and the broker does not lead to it: another trust domain, an authority that the agent has not heard of, or a clock. The agent reads its bundle file again by itself. Compare `countersign bundle show` with the ConfigMap (`kubectl -n countersign-agent get configmap countersign-trust-bundle -o yaml`) and with `date` on the node. [operations.md](operations.md#the-ledger-is-lost) has what to do after a ledger was lost.',
  ),
  bundle_invalid: entry(
    ['agentReady', 'start', 'cli'],
    'A new agent has nothing to trust yet: `bootstrapBundleFile` is missing, empty or no bundle. In a cluster it is the ConfigMap `countersign-agent/countersign-trust-bundle`, which the broker writes; as long as there is none, no agent starts, so look at the broker first.',
  ),
  bundle_not_published: entry(
    ['problems', 'broker'],
    'Agents that run learn of changes from the broker itself and need neither object. An agent that is new, or was away for long, begins with the ConfigMap `countersign-agent/countersign-trust-bundle`, and cannot start without it.',
  ),
  request_invalid: entry(
    ['cli', 'wire'],
    'Of the command: a filter or page token that is wrong, or something that the API server would not take. Of the node API: a client that is not ours.',
  ),
  batch_too_large: entry(['wire'], 'Agents keep to `issuance.maxBatch` of an unchanged broker; raise it again.'),
  batch_duplicate: entry(['wire', 'audit'], 'Agents never do this; a client of its own did.'),
  config_invalid: entry(
    ['start', 'agent', 'cli'],
    'The program ends with exit code 2 and lists every line that is wrong. `broker config-check FILE` and `agent config-check FILE` say the same without starting anything. In a cluster: `kubectl logs` of the pod that restarts. Of an agent that runs, it may also be a token file that cannot be read, or a state directory that others may write.',
  ),
  address_unavailable: entry(
    ['start'],
    'The program ends with exit code 1 and names the address, with the reason of the system: `EADDRINUSE` (taken, mostly by one of ours that still runs), `EADDRNOTAVAIL` (not of this machine) or `EACCES`. Port 0 takes a free one, which the log then tells.',
  ),
  object_invalid: entry(
    ['problems', 'broker', 'event', 'agent', 'audit', 'start'],
    'The last good version stays in force as long as the broker runs. After its restart, and where there never was a good one, the pods that the object selects are refused with this rather than served by another. `kubectl describe identitytemplate NAME` has the problems in its condition ([identity-template.md](objects/identity-template.md#status)); `broker config-check FILE` has those of a directory.',
  ),
  store_unavailable: entry(
    ['brokerReady', 'broker', 'audit', 'agent'],
    'Nothing is issued, and what is issued stays good. Look at the space on the volume (`kubectl -n countersign-system exec deploy/countersign-broker -- df /var/lib/countersign`), at its file system, and for a second broker on the same file. A shorter `ledger.retention` makes room by and by.',
  ),
  store_corrupt: entry(
    ['start', 'broker', 'audit'],
    'The broker ends rather than sign with what it cannot believe. After a rollback it may only mean that authorities have rotated under the newer version: start that one again, and nothing is lost. Otherwise keep the damaged files: they are evidence if somebody changed them. Then [restore a back-up](operations.md#restore), or, without one, [begin anew](operations.md#the-ledger-is-lost).',
  ),
  store_too_new: entry(
    ['start'],
    'After a rollback to a version that is older than the schema. Start the newer version again, or restore the back-up from before the upgrade.',
  ),
  key_store_locked: entry(
    ['start', 'brokerReady'],
    'The ledger and the wrapping key belong together. After a restore, look which key was kept with that back-up. In a cluster it is the Secret `countersign-system/countersign-wrapping-key`; the broker makes one only for a ledger that is new. If the key is gone for good: [operations.md](operations.md#the-wrapping-key-is-lost).',
  ),
  token_malformed: entry(
    ['event', 'audit', 'cli'],
    'The file or field holds something else than a projected token: a legacy token of a Secret, for example, or a client certificate.',
  ),
  token_too_large: entry(['event', 'agent', 'audit', 'cli'], 'Mostly the wrong file.'),
  token_expired: entry(
    ['agent', 'event', 'audit', 'cli'],
    'kubelet brings the agent a new token about every minute, because the CSIDriver object says `requiresRepublish: true`. If renewals fail with this, kubelet has stopped: see its log, whether the API server answers it, and the clock of the node.',
  ),
  token_not_yet_valid: entry(['event', 'agent', 'audit'], "The API server's clock is ahead of the broker's."),
  token_audience_wrong: entry(
    ['event', 'audit', 'cli'],
    'The CSIDriver object asks for tokens of another trust domain, as after an installation under another name: `kubectl get csidriver csi.countersign.dev -o yaml`. Of the command: a token of `--token-file` must be for `countersign.dev/<trust domain>/admin`.',
  ),
  token_issuer_wrong: entry(
    ['event', 'audit'],
    '`attestation.issuer` is not what this API server signs with (`kubectl get --raw /.well-known/openid-configuration`). Leave it out, and the broker asks.',
  ),
  token_signature_invalid: entry(
    ['event', 'audit'],
    "After the API server's signing key was replaced, tokens of the old one fail until kubelet has fetched others. Without Kubernetes: `attestation.jwksFile` is not that of the issuer.",
  ),
  token_unbound: entry(
    ['event', 'audit', 'agent'],
    'Tokens of pods name their pod and, since Kubernetes 1.30, their node. For trials by hand: `kubectl create token NAME --bound-object-kind Pod --bound-object-name POD --bound-object-uid UID --audience countersign.dev/TRUST-DOMAIN`.',
  ),
  token_too_long_lived: entry(
    ['event', 'audit'],
    '`expirationSeconds` of the CSIDriver object, or of the agents’ projected token, is above `attestation.maxTokenLifetime`.',
  ),
  token_rejected: entry(
    ['event', 'agent', 'audit', 'cli'],
    'Normal for a pod that has just been deleted. Otherwise the API server does not know the audience, or the ServiceAccount was deleted and made again under the pod: then the pod must be made again, too, since its token is for the account that is gone.',
  ),
  attestation_refused: entry(
    ['agent', 'agentReady', 'broker'],
    "The agent is told nothing more, for whoever probes would learn from it. The record has the precise code: `sqlite3 -readonly ledger.sqlite \"select record from audit where record like '%attestation_refused%' order by seq desc limit 5\"`, or `countersign check`. Mostly it is [`agent_not_allowed`](#agent_not_allowed) or one of the tokens' codes.",
  ),
  agent_not_allowed: entry(
    ['audit'],
    'The agent itself is told [`attestation_refused`](#attestation_refused). The list is `attestation.agents`, each as `namespace/name`.',
  ),
  agent_certificate_required: entry(
    ['broker', 'audit', 'wire'],
    'Somebody who is no agent called the node API: a port scanner, or a client with the wrong port.',
  ),
  agent_certificate_expired: entry(
    ['agent', 'audit'],
    'Once an hour it is normal for an agent that was cut off; it attests its node again by itself. If it comes back all the time, compare clocks.',
  ),
  agent_certificate_invalid: entry(
    ['agent', 'broker', 'audit'],
    "After the broker was given a new or an older ledger every agent is told so once, and attests again by itself. Otherwise a workload's certificate was used where an agent's belongs.",
  ),
  node_mismatch: entry(
    ['event', 'audit'],
    'Somebody brought the token of a pod from another node: in earnest this is theft, and worth looking into. By hand it comes about when `nodeName` of an agent is not the name of its Node object.',
  ),
  workload_mismatch: entry(
    ['event', 'agent', 'audit'],
    'kubelet passes volume and token of one pod together; a client of its own mixed them up. Without Kubernetes: the token file of a declared workload holds the token of another namespace or ServiceAccount than its declaration says; find out who put it there.',
  ),
  template_not_matched: entry(
    ['event', 'agent', 'audit', 'cli'],
    'As soon as there is one IdentityTemplate, the built-in one is out of force. `countersign explain pod NAME -n NAMESPACE` shows each template with what it selects by. kubelet tries again by itself, with growing pauses of up to two minutes; deleting the pod is quicker.',
  ),
  template_ambiguous: entry(
    ['event', 'agent', 'audit', 'cli', 'problems'],
    'Neither is preferred, whichever is older: an identity never depends on the order of files. `countersign explain pod NAME -n NAMESPACE` names both. Pods that have their SVID keep it until it ends.',
  ),
  template_unrenderable: entry(
    ['event', 'agent', 'audit', 'cli'],
    'The fact is missing (a label that the pod does not bear), or its value is no path segment of a SPIFFE ID, such as one with a slash. Or the pod, or its namespace, has more labels than are read (32 KiB, with 64 bytes for each beside its text): take some off it, or select by ServiceAccount.',
  ),
  spiffe_id_reserved: entry(
    ['event', 'audit', 'problems'],
    'Paths below `/countersign/` name the broker and its agents.',
  ),
  ttl_out_of_bounds: entry(
    ['event', 'audit', 'problems'],
    'Also when the bounds were narrowed under a template that was within them: then its pods keep what they have until it ends.',
  ),
  key_type_required: entry(
    ['wire', 'audit'],
    'The agent reads it and asks again; a record of it is nothing to worry about.',
  ),
  identity_denied: entry(['event', 'agent'], 'There is no deny list yet.'),
  admin_credentials_required: entry(
    ['cli', 'wire'],
    'The `countersign` command makes its token by itself (TokenRequest for `countersign-system/countersign-cli`) unless `--token-file` says otherwise. A client of its own sends one.',
  ),
  admin_certificate_invalid: entry(
    ['wire', 'broker'],
    'A certificate is not needed. One that is shown must be the SVID of a workload of this trust domain.',
  ),
  admin_permission_denied: entry(
    ['cli', 'audit'],
    "The message has the missing rule as YAML. The chart's ClusterRole `countersign-viewer` has all of them; whoever may make tokens for the ServiceAccount `countersign-cli` has them by it. [admin-api.md](admin-api.md) has the rule of each method.",
  ),
  identity_not_found: entry(
    ['cli'],
    '`countersign identity list` has the numbers. Of `svid show --pod`: the pod is not there, has no volume of ours, or does not run yet; `countersign explain pod` says which. Of `bundle show --config-map`: the broker has not written the ConfigMap yet, or nothing is installed; `countersign check` says which.',
  ),
  authority_unavailable: entry(
    ['brokerReady', 'broker', 'agent', 'event'],
    'With `upstreamDisk`: the CA cannot be read, or has ended. Self-signed: the clock has jumped beyond the end of the authority, or the ledger took no new one. Of a pod it may also say that an SVID does not lead to the bundle of its node yet, or no longer, because its authority was withdrawn while it was on its way: it is asked for again, which takes moments.',
  ),
  kubernetes_unavailable: entry(
    ['broker', 'brokerReady', 'event', 'agent', 'cli'],
    'First publishes are held for 100 s, then refused and tried again by kubelet. For how long everybody can do without an API server: [operations.md](operations.md#the-api-server-is-away).',
  ),
  kubernetes_forbidden: entry(
    ['problems', 'broker', 'event', 'cli'],
    'Of the broker: its role was changed, or is of an older chart; `helm upgrade` brings it back, and the broker goes on by itself within a minute. Of the command: you yourself lack the rule that is named.',
  ),
  broker_unavailable: entry(
    ['agent', 'agentReady', 'event', 'stream', 'cli'],
    'In this order: does the broker run (`kubectl -n countersign-system get pods`), is it ready, and if not why (`countersign check`), does a NetworkPolicy stand between them, does the name resolve on the node. Its last failure is in the `/readyz` of the agent. Pods keep what they have; a new pod is served the moment the broker is back.',
  ),
  overloaded: entry(
    ['agent', 'event', 'audit', 'cli', 'stream'],
    "Everybody is told when to come back, and does. Of a stream on a pod's socket: its client has not taken what it was sent within 10 s, and may be stuck; it has the newest state when it opens the stream again. If it lasts: `countersign_broker_issuance_queued`, the CPU that the broker has, [performance.md](performance.md), and `issuance.perNode` and `perPod` for one that asks too often.",
  ),
  shutting_down: entry(
    ['agent', 'stream', 'broker'],
    'A restart. Clients of the Workload API and agents connect again by themselves.',
  ),
  deadline_exceeded: entry(
    ['agent', 'broker', 'event'],
    'By itself nothing; often: the broker, its disk or the API server is slow. `countersign_broker_issue_seconds` says which of your percentiles.',
  ),
  volume_request_invalid: entry(
    ['event', 'agent'],
    'Mostly the CSIDriver object was written by hand and lacks `tokenRequests` or `podInfoOnMount: true`; or a pod has more than `csi.maxVolumesPerPod` volumes of the driver.',
  ),
  volume_not_read_only: entry(['event', 'problems'], 'The pod must be made again: volumes of a pod cannot be changed.'),
  volume_attribute_unknown: entry(
    ['event'],
    'Refused when the pod starts, never later: an agent that was rolled back leaves running pods alone.',
  ),
  volume_attribute_invalid: entry(
    ['event'],
    'Keys belong in memory, so the volume is a tmpfs whatever the pod asks for. A volume that containers use already is served on.',
  ),
  target_path_invalid: entry(
    ['event', 'agent'],
    'On nodes whose kubelet keeps its files elsewhere (k0s, MicroK8s, RKE) set `agent.kubeletRoot` of the chart.',
  ),
  volume_tampered: entry(
    ['event', 'agent'],
    'Something was mounted over the volume or in it, or its files were changed on the node, where only root can; the folders that kubelet makes for a `subPath` are removed without a word. If it was not an experiment, treat the node as taken.',
  ),
  volume_full: entry(
    ['event', 'agent'],
    'Volumes grow with what they hold, up to 32 MiB. They are memory, and it counts against the limit of the agent (`agent.resources.limits.memory`).',
  ),
  volume_pinned: entry(
    ['agent'],
    'A program opens its files anew at each change and never closes them: `ls -l /proc/<pid>/fd` in its container shows them as `(deleted)`. What its files trust is kept up to date all the same, so nobody else waits for it; its SVID is renewed once there is room, and ends if there is none by then.',
  ),
  mount_failed: entry(
    ['event', 'agent'],
    "The agent's container is not privileged, its mount of kubelet's folder lacks `mountPropagation: Bidirectional`, or a security module (AppArmor, SELinux) says no. The log has what mount(8) said.",
  ),
  disk_not_allowed: entry(['start', 'agent'], 'Only for declared workloads: `workloads.output` is not on a tmpfs.'),
  workload_unknown: entry(
    ['stream', 'agent'],
    'The pod is being deleted, or the container holds a socket of another volume than its own.',
  ),
  identity_expired: entry(
    ['stream', 'agent'],
    'Renewals have failed for half of the SVID’s life. The log of the agent says why once for each reason (`an SVID was not renewed`), and `countersign_agent_renewals_total` counts by code; that code is the one to look up here.',
  ),
  security_header_missing: entry(
    ['stream'],
    'A gRPC client without a SPIFFE library: every call needs the metadata `workload.spiffe.io: true`.',
  ),
  not_implemented: entry(['stream'], 'JWT-SVIDs are not served yet.'),
  internal: entry(
    ['broker', 'agent', 'event', 'stream', 'cli'],
    'Please report it: [SECURITY.md](../SECURITY.md) if it could be used against somebody, an issue otherwise.',
  ),
}
