/**
 * JSON as people and jq read it. 64-bit numbers become texts, as protobuf's JSON has them. What JSON leaves as it is and a
 * terminal would obey is escaped, too.
 */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? each.toString() : each), 2)
  return `${text.replaceAll(/[\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g, escaped)}\n`
}

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
