/** JSON as people and jq read it. 64-bit numbers become texts, as protobuf's JSON has them. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? each.toString() : each), 2)}\n`
}
