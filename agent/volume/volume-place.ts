import type { Directory } from './directory.ts'
import type { Readers } from './readers.ts'

/** Where a volume's files are: a tmpfs that is mounted for them, or a folder. */
export interface VolumePlace {
  /** Whether nobody but the agent has anything to keep in it, so that whatever else is found there may be removed. */
  readonly isOursAlone: boolean
  /** Opens the volume as it was left; `undefined` if there is none. The caller closes it. */
  open(): Promise<Directory | undefined>
  /** Makes what is missing and opens it. Never makes anything twice. */
  prepare(): Promise<Directory>
  /** Lets `readers`, and nobody else, into the volume, where nothing else guards the way to it. */
  admit(volume: Directory, readers: Readers): Promise<void>
  /** Whether it lets in exactly these. */
  admits(volume: Directory, readers: Readers): Promise<boolean>
  /** Makes room for generations of files of these sizes. */
  reserve(volume: Directory, fileBytes: readonly number[]): Promise<void>
  /** Makes room for as many pages as contents of these sizes take, whatever the files that are there have already. */
  makeRoom(volume: Directory, fileBytes: readonly number[]): Promise<void>
  /** Undoes `prepare`, whatever is left of it; nothing if nothing is. */
  release(): Promise<void>
}
