import { createServer } from 'node:net'
import type { Log } from '../base/log.ts'
import { waitFor } from '../base/wait.ts'

// An abstract socket: at most one process of the machine can listen on it, and the kernel frees it when that one dies.
const LOCK = '\0countersign-cluster'

/** Runs `action` while no other process starts or stops the cluster. */
export async function whileLocked<T>(log: Log, action: () => Promise<T>): Promise<T> {
  let said = false
  const server = await waitFor(
    'another process that starts or stops the cluster',
    async () => {
      const server = await tryListen()
      if (!server && !said) log('another process is starting or stopping the cluster, waiting for it …')
      said = true
      return server
    },
    { timeout: 300_000 },
  )
  try {
    return await action()
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}

function tryListen() {
  return new Promise<ReturnType<typeof createServer> | undefined>((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(LOCK, () => resolve(server))
  })
}
