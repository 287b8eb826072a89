import { createServer, type Server } from 'node:net'
import type { Log } from '../base/log.ts'
import { InVain, waitFor } from '../base/wait.ts'

/** Runs `action` while no other process starts or stops the cluster. */
export function whileLocked<T>(log: Log, action: () => Promise<T>): Promise<T> {
  return whileHeld('countersign-cluster', 'another process that starts or stops the cluster', log, action)
}

/**
 * Runs `action` while no other process begins to use the machine for a cluster of its own. A test run has its turn
 * until it has looked at what its cluster left behind.
 */
export function whileOnTurn<T>(log: Log, signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  return whileHeld('countersign-cluster-turn', 'the test run of another process', log, action, signal)
}

async function whileHeld<T>(
  name: string,
  waitingFor: string,
  log: Log,
  action: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  let said = false
  const server = await waitFor(
    `${waitingFor} to end`,
    async () => {
      if (signal?.aborted) throw new InVain(`stopped while waiting for ${waitingFor}`)
      const server = await tryListen(`\0${name}`)
      if (!server && !said) log(`waiting for ${waitingFor} …`)
      said = true
      return server
    },
    { timeout: 60 * 60_000 },
  )
  try {
    return await action()
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}

// An abstract socket: at most one process of the machine can listen on it, and the kernel frees it when that one dies.
function tryListen(socket: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((connection) => connection.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(socket, () => resolve(server))
  })
}
