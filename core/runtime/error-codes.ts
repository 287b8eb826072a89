/**
 * Every reason why Countersign refuses something: the code, the gRPC status it travels as, what it means and what to do.
 * `docs/errors.md` is made from this table and a test holds it to it. A code is a promise: documented, a label in
 * metrics, a field in logs and audit records, a word on the wire; it is never renamed.
 */
export const ERROR_CODES = {
  // Values and formats
  spiffe_id_invalid: row(
    'INVALID_ARGUMENT',
    'A SPIFFE ID or trust domain breaks a rule of SPIFFE-ID §2.',
    'The message names the rule; write the ID exactly as the standard spells it.',
  ),
  der_invalid: row(
    'INVALID_ARGUMENT',
    'Bytes that should be DER are not, or would encode differently.',
    'Send strict DER (X.690 §10-11), without trailing bytes.',
  ),
  pem_invalid: row(
    'INVALID_ARGUMENT',
    'Text that should be PEM (RFC 7468) is not.',
    'Check the file; only the blocks named in the message belong there.',
  ),
  csr_invalid: row(
    'INVALID_ARGUMENT',
    'A certificate request is malformed, too large, or its signature does not prove possession of the key.',
    'Make a PKCS#10 request (RFC 2986) signed by the key it carries.',
  ),
  key_unsupported: row(
    'INVALID_ARGUMENT',
    'The key is of a kind or size that is not issued for, or not a valid key.',
    'Use EC P-256, EC P-384, RSA 2048 or RSA 3072.',
  ),
  certificate_invalid: row(
    'INVALID_ARGUMENT',
    'A certificate breaks a rule of RFC 5280 or of the X509-SVID standard.',
    'The message names the rule.',
  ),
  chain_untrusted: row(
    'UNAUTHENTICATED',
    'A certificate chain does not lead to the bundle of the trust domain it names.',
    'Check trust domain, bundle and validity on both sides.',
  ),
  bundle_invalid: row(
    'INVALID_ARGUMENT',
    'A trust bundle cannot be read.',
    'Give PEM certificates, or a SPIFFE bundle document (JWK Set).',
  ),
  request_invalid: row(
    'INVALID_ARGUMENT',
    'A request lacks a field or holds one out of bounds.',
    'The message names the field and its bounds.',
  ),
  batch_too_large: row(
    'INVALID_ARGUMENT',
    'A batch holds more items than allowed.',
    'Split the batch; the message names the limit.',
  ),
  batch_duplicate: row(
    'INVALID_ARGUMENT',
    'Two items of a batch carry the same request ID or the same key.',
    'Give each item its own request ID and key.',
  ),
  // Configuration and state at start
  config_invalid: row(
    'FAILED_PRECONDITION',
    'A configuration file or flag is wrong; every problem is listed with its path.',
    'Correct the listed lines; docs/configuration.md has each setting.',
  ),
  address_unavailable: row(
    'FAILED_PRECONDITION',
    'A program cannot listen where its settings say: another one does, or the machine has no such address.',
    'See who listens there (ss -ltnp), and stop that program or set another address; EACCES means a port below 1024.',
  ),
  object_invalid: row(
    'FAILED_PRECONDITION',
    'An object (for example an IdentityTemplate) is wrong; every problem is listed with its path.',
    'Correct the object. Until then its last good version stays in force, and where there was none, its pods are refused.',
  ),
  store_unavailable: row(
    'UNAVAILABLE',
    'The ledger cannot be written (locked, full, or failing).',
    'Free space or release the lock; what is already issued keeps working.',
  ),
  store_corrupt: row(
    'FAILED_PRECONDITION',
    'The ledger or the key store is damaged.',
    'Restore it from a back-up; nothing is signed until then.',
  ),
  store_too_new: row(
    'FAILED_PRECONDITION',
    'The database was written by a newer version of the program.',
    'Run that version or a newer one.',
  ),
  key_store_locked: row(
    'FAILED_PRECONDITION',
    'The key that wraps the authority keys is missing, unreadable or wrong.',
    'Give the key file that the store was made with.',
  ),
  bundle_not_published: row(
    'FAILED_PRECONDITION',
    'The trust bundle could not be brought to a ConfigMap or ClusterTrustBundle; the message says why.',
    'A newer bundle there is another broker that is ahead, or a ledger from an old back-up: once nobody needs that bundle any more, delete the object, and it is made anew.',
  ),
  // Tokens
  token_malformed: row(
    'UNAUTHENTICATED',
    'The ServiceAccount token is not a signed JWT of the expected shape.',
    'Pass the projected token exactly as kubelet wrote it.',
  ),
  token_too_large: row(
    'UNAUTHENTICATED',
    'The ServiceAccount token is larger than 16 KiB.',
    'Pass the projected token exactly as kubelet wrote it.',
  ),
  token_expired: row(
    'UNAUTHENTICATED',
    'The token has expired.',
    'Read the token again; kubelet replaces it in time. Check clocks.',
  ),
  token_not_yet_valid: row(
    'UNAUTHENTICATED',
    'The token is not valid yet.',
    'Check the clocks of API server and broker.',
  ),
  token_audience_wrong: row(
    'UNAUTHENTICATED',
    'The token is for another audience.',
    'Ask for the audience countersign.dev/<trust domain> in CSIDriver.spec.tokenRequests.',
  ),
  token_issuer_wrong: row(
    'UNAUTHENTICATED',
    'The token comes from another issuer.',
    'Check attestation.issuer and the cluster that the token comes from.',
  ),
  token_signature_invalid: row(
    'UNAUTHENTICATED',
    'No key of the cluster verifies the token.',
    'The token is forged, from another cluster, or its key has left the JWKS: read it again.',
  ),
  token_unbound: row(
    'UNAUTHENTICATED',
    'The token is not bound to a pod on a node.',
    'Use the token that kubelet projects; `kubectl create token` needs --bound-object-kind Pod.',
  ),
  token_too_long_lived: row(
    'UNAUTHENTICATED',
    'The token was made for a longer life than allowed.',
    'Ask for at most attestation.maxTokenLifetime.',
  ),
  token_rejected: row(
    'UNAUTHENTICATED',
    'The API server does not accept the token (for example, its pod is gone), or does not vouch for what it says.',
    'Read the token again; if the pod still exists, check the audience.',
  ),
  // Attestation and authorization
  attestation_refused: row(
    'UNAUTHENTICATED',
    'The node could not be attested. The reason is in the audit record only.',
    "An operator finds the reason in the audit record of this moment: select record from audit where record like '%attestation_refused%'.",
  ),
  agent_not_allowed: row(
    'PERMISSION_DENIED',
    'The token belongs to a ServiceAccount that is not listed as an agent.',
    'List it in attestation.agents, if it is one.',
  ),
  agent_certificate_required: row(
    'UNAUTHENTICATED',
    'The call needs the SVID of an attested agent.',
    'Call AttestNode first, then connect with the SVID it gives.',
  ),
  agent_certificate_expired: row('UNAUTHENTICATED', "The agent's SVID has expired.", 'Attest the node again.'),
  agent_certificate_invalid: row(
    'PERMISSION_DENIED',
    "The client certificate is not an agent's SVID of this trust domain.",
    'Attest the node, and connect with the SVID it gives.',
  ),
  node_mismatch: row(
    'PERMISSION_DENIED',
    "The token's pod runs on another node than the calling agent's.",
    'A token is believed only from the agent of its own node.',
  ),
  workload_mismatch: row(
    'PERMISSION_DENIED',
    'The token names another pod or ServiceAccount than the request.',
    'Pass the token of the very pod that the volume belongs to.',
  ),
  template_not_matched: row(
    'PERMISSION_DENIED',
    'No IdentityTemplate selects the workload.',
    'Write a template that selects it, or correct the selector of one that should.',
  ),
  template_ambiguous: row(
    'PERMISSION_DENIED',
    'More than one IdentityTemplate selects the workload.',
    'Narrow the selectors; the audit record names the templates.',
  ),
  template_unrenderable: row(
    'PERMISSION_DENIED',
    "The template cannot be filled from the workload's facts.",
    'The message names what is missing or not legal: a value is never escaped. Correct the template, or the pod.',
  ),
  spiffe_id_reserved: row(
    'PERMISSION_DENIED',
    'The template renders to an ID below /countersign/, which is kept for broker and agents.',
    "Change the template's spiffeId.",
  ),
  ttl_out_of_bounds: row(
    'PERMISSION_DENIED',
    "The template's ttl is outside the broker's bounds.",
    'Choose a ttl within issuance.minTtl and issuance.maxTtl.',
  ),
  key_type_required: row(
    'FAILED_PRECONDITION',
    'The template demands another key type than the request carries.',
    'Make a key of the type in the refusal and ask again; the agent does so by itself.',
  ),
  identity_denied: row(
    'PERMISSION_DENIED',
    'The identity is on the deny list.',
    'Revocations are not served yet: no broker gives this code today.',
  ),
  // Admin API
  admin_credentials_required: row(
    'UNAUTHENTICATED',
    'A call of the admin API says nothing about who calls.',
    'Send `authorization: Bearer <token>` with a token for the audience countersign.dev/<trust domain>/admin, or connect with the SVID of a workload.',
  ),
  admin_certificate_invalid: row(
    'PERMISSION_DENIED',
    'The client certificate is not the SVID of a workload of this trust domain; agents and the broker have no say here.',
    'Connect with the SVID of a workload, or without a certificate and with a token.',
  ),
  admin_permission_denied: row(
    'PERMISSION_DENIED',
    'The caller is known, and RBAC does not allow the call.',
    'Grant the rule that the message names: verb, resource, API group and namespace.',
  ),
  identity_not_found: row(
    'NOT_FOUND',
    'What was asked for is not there: the ledger holds no SVID of that serial number (in that namespace), or the cluster no such pod, volume or ConfigMap.',
    'Check the number or name, and the namespace; expired rows are let go after ledger.retention.',
  ),
  // Availability
  authority_unavailable: row(
    'UNAVAILABLE',
    'There is no authority that may sign now.',
    'See the log and countersign_broker_authority_* metrics; the broker retries by itself.',
  ),
  kubernetes_unavailable: row(
    'UNAVAILABLE',
    'The API server does not answer, or the signing keys of the cluster cannot be read.',
    'Issuance resumes when it does; issued SVIDs stay valid.',
  ),
  kubernetes_forbidden: row(
    'UNAVAILABLE',
    'The API server does not let the broker do what it needs to; the message names the missing rule.',
    'Add the rule to the role of the broker (the status of the broker has it as YAML); the rest keeps working, and this resumes by itself.',
  ),
  broker_unavailable: row(
    'UNAVAILABLE',
    'The broker does not answer.',
    'The agent retries by itself; issued SVIDs stay valid.',
  ),
  overloaded: row('UNAVAILABLE', 'More work is waiting than is allowed.', 'Try again after the time given.'),
  shutting_down: row('UNAVAILABLE', 'The program is stopping.', 'Connect again.'),
  deadline_exceeded: row('DEADLINE_EXCEEDED', 'The work was not done in time.', 'Try again.'),
  // Node: volumes and sockets
  volume_request_invalid: row(
    'INVALID_ARGUMENT',
    'A CSI call lacks a field or holds one that kubelet would not send.',
    'The message names the field.',
  ),
  volume_not_read_only: row(
    'INVALID_ARGUMENT',
    'The volume is not readOnly; a writable one would let its containers plant links that the agent follows on the host.',
    'Set csi.readOnly: true on the volume.',
  ),
  volume_attribute_unknown: row(
    'INVALID_ARGUMENT',
    'A volume attribute is not one of ours.',
    'Remove it from the pod: the message names it, and those that the driver takes.',
  ),
  volume_attribute_invalid: row(
    'INVALID_ARGUMENT',
    'The volume has a setting whose value is not allowed: an fsType other than tmpfs.',
    'Remove it: the message names it.',
  ),
  target_path_invalid: row(
    'INVALID_ARGUMENT',
    "The target path is not inside the kubelet's folder of pods, or leads through a link.",
    'Only kubelet calls the CSI socket; check csi.kubeletDirectory (--kubelet-dir).',
  ),
  volume_tampered: row(
    'FAILED_PRECONDITION',
    'Something in the volume is not what the agent put there.',
    'Delete the pod; look for who could write on the node.',
  ),
  volume_full: row(
    'INTERNAL',
    'The identity does not fit into the volume.',
    'See the log; an unusual number of authorities or a full node is the usual reason.',
  ),
  volume_pinned: row(
    'FAILED_PRECONDITION',
    'The workload keeps so many files open that were replaced that its volume has no room for new ones.',
    'Restart its containers, and mend the program: it has to close a file once it has read it.',
  ),
  mount_failed: row(
    'INTERNAL',
    'The tmpfs of a volume could not be mounted or unmounted.',
    'See the log; the agent must be privileged with Bidirectional propagation.',
  ),
  disk_not_allowed: row(
    'FAILED_PRECONDITION',
    'Keys would be written to a disk.',
    'Use a tmpfs, or allow it: workloads.allowDisk, or --allow-disk.',
  ),
  workload_unknown: row(
    'PERMISSION_DENIED',
    'The socket belongs to no workload with an identity.',
    'See the log of the agent for this pod.',
  ),
  identity_expired: row(
    'UNAVAILABLE',
    "The workload's SVID has expired and could not be renewed.",
    'See countersign_agent_* metrics and the log for the reason.',
  ),
  security_header_missing: row(
    'INVALID_ARGUMENT',
    'The metadata workload.spiffe.io: true is missing (SPIFFE Workload Endpoint §3).',
    'Use a SPIFFE library, or send the header exactly once.',
  ),
  not_implemented: row('UNIMPLEMENTED', 'This profile is not served.', 'Use one that is.'),
  internal: row(
    'INTERNAL',
    'A bug. No detail leaves the program; the log has the stack.',
    'Report it with the log line.',
  ),
} as const satisfies Record<string, ErrorRow>

/** One of the closed set of reasons. */
export type ErrorCode = keyof typeof ERROR_CODES

/** The names of the gRPC statuses that refusals travel as. */
export type StatusName =
  | 'INVALID_ARGUMENT'
  | 'UNAUTHENTICATED'
  | 'PERMISSION_DENIED'
  | 'FAILED_PRECONDITION'
  | 'NOT_FOUND'
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'

interface ErrorRow {
  readonly status: StatusName
  readonly meaning: string
  readonly remedy: string
}

function row(status: StatusName, meaning: string, remedy: string): ErrorRow {
  return { status, meaning, remedy }
}

/** Whether `text`, for example from the wire, is one of our codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text)
}
