import type { Stage } from './stage.ts'

/** One line of the table. */
export interface Measured {
  readonly figure: string
  /** For people, with its unit. */
  readonly value: string
  /** For programs: every number that belongs to it, the unit in its name. */
  readonly numbers: Readonly<Record<string, number>>
  /** Microseconds of the floor in the same run, where the figure is held against it. */
  readonly floorMicros?: number | undefined
  readonly ratio?: number | undefined
  readonly goal?: string | undefined
  /** `undefined` where there is no goal. */
  readonly met?: boolean | undefined
  /** What a reader has to know to believe it. */
  readonly note?: string | undefined
}

/** How much time may be spent. */
export type Effort = 'quick' | 'normal' | 'long'

/** Something that is measured. It starts what it needs on its stage, which stops it. */
export interface Figure {
  readonly name: string
  /** Needs the test cluster. */
  readonly onCluster?: boolean
  measure(stage: Stage, effort: Effort): Promise<readonly Measured[]>
}
