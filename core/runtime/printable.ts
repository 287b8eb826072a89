/**
 * Text from elsewhere, as it may stand on a terminal: without control characters, which could move the cursor and forge
 * lines, and without the characters that turn the direction of writing.
 */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g, '�')
}

/** The same of text that must not become more than one line: the next could pass for one of ours. */
export function printableLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim())
  return printable(lines.filter((line) => line !== '').join(' '))
}
