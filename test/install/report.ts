/** What a caller has counted since it was started. */
export interface Report {
  readonly pod: string
  readonly handshakes: number
  readonly failed: number
  readonly resumed: number
  /** What went wrong, the first few. */
  readonly errors: readonly string[]
  /** The serial numbers of the certificates that it had, and of those that it was shown. */
  readonly ours: readonly string[]
  readonly theirs: readonly string[]
}
