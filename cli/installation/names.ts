/** What the installation's objects are called; the chart uses the same (design §1). */
export const SYSTEM_NAMESPACE = 'countersign-system'
export const AGENT_NAMESPACE = 'countersign-agent'
export const CSI_DRIVER = 'csi.countersign.dev'
export const API_GROUP = 'countersign.dev'
export const TRUST_BUNDLE = {
  namespace: AGENT_NAMESPACE,
  name: 'countersign-trust-bundle',
  key: 'bundle.json',
} as const
/** Says which trust domain the bundle is of, for the document itself does not. */
export const TRUST_DOMAIN_ANNOTATION = 'countersign.dev/trust-domain'
/** On a definition of ours, a digest of the `spec` that it was released with: what was changed since, it does not tell. */
export const DEFINITION_ANNOTATION = 'countersign.dev/definition'
/** Whose token operators present to the broker. */
export const CLI_SERVICE_ACCOUNT = { namespace: SYSTEM_NAMESPACE, name: 'countersign-cli' } as const
/** Where the chart keeps the broker's ledger. */
export const LEDGER_CLAIM = 'countersign-ledger'
export const ADMIN_PORT = 8444
const PART_OF = 'app.kubernetes.io/name=countersign'
export const BROKER_SELECTOR = `${PART_OF},app.kubernetes.io/component=broker`
export const AGENT_SELECTOR = `${PART_OF},app.kubernetes.io/component=agent`
