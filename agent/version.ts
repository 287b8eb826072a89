/** What the agent calls itself on Sync and to kubelet; that of package.json. */
export const AGENT_VERSION = '0.1.0'
