/** JSON as the API server writes it: Go escapes what HTML would take for its own, and makes six octets of each. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[<>&]/g, (each) => `\\u00${each.charCodeAt(0).toString(16)}`)
}
