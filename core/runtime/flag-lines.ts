/** The flags of a usage text, a line each: what is written, and the setting that it stands for. */
export function flagLines(flags: readonly (readonly [flag: string, meaning: string])[]): string {
  const width = Math.max(...flags.map(([flag]) => flag.length))
  return flags.map(([flag, meaning]) => `  --${flag.padEnd(width)}  ${meaning}`).join('\n')
}
