/** RFC 1123 §2.1, in lower case. */
export const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const MAX_DNS_NAME_LENGTH = 253

/** Whether a certificate may carry `name`; no wildcards, which would speak for others. */
export function isDnsName(name: string): boolean {
  return name.length <= MAX_DNS_NAME_LENGTH && name.split('.').every((label) => DNS_LABEL.test(label))
}
