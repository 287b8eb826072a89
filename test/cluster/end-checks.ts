import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ON_TURN } from './attach.ts'
import { logToStderr as log } from './base/log.ts'
import { run } from './base/run.ts'
import { InVain, waitFor } from './base/wait.ts'
import { leftovers, type Snapshot, takeSnapshot } from './leftovers.ts'

/*
 * Tests that only whoever starts and stops the cluster can run. Each says its result in a line and returns whether it
 * passed.
 */

const MAIN = join(import.meta.dirname, 'main.ts')

/** What `what` leaves on the machine that was not there `before`. */
export async function checkLeftNothing(what: string, before: Snapshot): Promise<boolean> {
  let left: string[] = []
  const look = async (): Promise<boolean> => {
    left = leftovers(before, await takeSnapshot())
    return left.length === 0
  }
  // The kernel takes namespaces apart a moment after their last process has gone.
  const nothing = await waitFor('nothing to be left behind', look, { timeout: 10_000 }).catch(() => false)
  log(nothing ? `✓ ${what} leaves nothing behind` : [`✗ ${what} leaves behind:`, ...left].join('\n    '))
  return nothing
}

/** A start that is stopped halfway: politely it undoes itself; killed, `down` undoes it. */
export async function checkInterruptions(before: Snapshot, signal: AbortSignal): Promise<boolean[]> {
  if (signal.aborted) return []
  try {
    const code = await interruptStart('SIGTERM')
    const undone = await checkLeftNothing('a start that is stopped by SIGTERM', before)
    if (code === 0) log('✗ a start that is stopped by SIGTERM exits 0')
    if (signal.aborted) return [undone && code !== 0]

    await interruptStart('SIGKILL')
    await run(process.execPath, [MAIN, 'down'])
    return [undone && code !== 0, await checkLeftNothing('down after a start that was killed', before)]
  } catch (error) {
    log(`✗ ${error instanceof Error ? error.message : String(error)}`)
    return [false]
  }
}

/** Starts a cluster and stops that when its containers' runtime runs; returns the exit code. */
async function interruptStart(signal: NodeJS.Signals): Promise<number | null> {
  const child = spawn(process.execPath, [MAIN, 'up'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, [ON_TURN]: '1' },
  })
  let progress = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (progress += text))
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  await waitFor('a cluster to be half up', () => {
    if (child.exitCode !== null) throw new InVain(`a start ended before it was interrupted: ${progress}`)
    return progress.includes('containerd of')
  })
  child.kill(signal)
  return ended
}
