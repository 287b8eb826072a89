/** A line (or few) of the source that upholds an invariant, and the test that must turn red without it. */
export interface Guard {
  /** The invariant of docs/architecture.md, or a short name for another promise. */
  readonly invariant: string
  readonly file: string
  /** The guarding text: exactly once in the file. */
  readonly find: string
  /** What stands there without the guard; empty removes it. */
  readonly replace: string
  /** The test file that must fail. */
  readonly test: string
  /** Part of the title of the test that must fail; it names the invariant. */
  readonly title: string
}
