/**
 * Waits for the disk as the ledger does, and says for how long: what the disk alone makes anybody wait, in the same run
 * as what is measured.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { serveCommands } from '../machine/remote.ts'
import { percentile } from '../statistics.ts'

/** About what a transaction of a few SVIDs writes. */
const COMMIT_BYTES = 6 * 4096
/** The file is written from its beginning again, like a write-ahead log. */
const COMMITS = 200
const EVERY_MS = 5

let isOver = false

const commands = {
  /** Until `stop`; @returns the milliseconds of one sync. */
  async watch({ file }: { file: string }) {
    const descriptor = openSync(file, 'w', 0o600)
    const bytes = Buffer.alloc(COMMIT_BYTES, 1)
    const waits: number[] = []
    for (let turn = 0; !isOver; turn += 1) {
      writeSync(descriptor, bytes, 0, bytes.length, (turn % COMMITS) * bytes.length)
      const begin = performance.now()
      fsyncSync(descriptor)
      waits.push(performance.now() - begin)
      await delay(EVERY_MS)
    }
    closeSync(descriptor)
    return { p50: percentile(waits, 50), p99: percentile(waits, 99), max: percentile(waits, 100) }
  },

  stop() {
    isOver = true
  },
}

export type DiskWitnessCommands = typeof commands

serveCommands(commands)
