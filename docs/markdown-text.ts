/** A text of the code's tables as Markdown: nothing is marked up but what is between backticks. */
export function asMarkdown(text: string): string {
  const parts = text.split(/(`[^`]*`)/)
  return parts.map((part) => (part.startsWith('`') ? part : part.replaceAll(/[*_<|]/g, String.raw`\$&`))).join('')
}
