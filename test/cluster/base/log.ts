/** Where progress goes: one line per call, without a line feed. */
export type Log = (line: string) => void

/** Writes `line` to stderr, so that stdout stays free for what a command answers. */
export const logToStderr: Log = (line) => {
  process.stderr.write(`${line}\n`)
}

/** Seconds since `start` (of `performance.now()`), as text. */
export function elapsed(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`
}
