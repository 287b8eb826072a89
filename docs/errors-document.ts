import { ERROR_CODES } from '../core/runtime/error-codes.ts'
import { asMarkdown } from './markdown-text.ts'

/** docs/errors.md: every code of the one table. */
export function errorsDocument(): string {
  const rows = Object.entries(ERROR_CODES).map(
    ([code, { status, meaning, remedy }]) =>
      `| \`${code}\` | ${status} | ${asMarkdown(meaning)} | ${asMarkdown(remedy)} |`,
  )
  return `# Errors

Made from \`core/runtime/error-codes.ts\` by \`npm run generate\`.

Every refusal carries one of these codes: on the wire (\`google.rpc.ErrorInfo\` with domain \`countersign.dev\`, and before the colon of the gRPC message), in the log, in audit records and as a label of metrics. A code is never renamed. What could help an attacker is in the audit record only.

| code | gRPC status | what it means | what to do |
| --- | --- | --- | --- |
${rows.join('\n')}
`
}
