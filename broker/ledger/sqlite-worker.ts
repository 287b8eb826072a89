/**
 * The worker thread that owns the database: SQLite is synchronous in Node, and a commit waits for the disk.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads'
import { type DatabaseOptions, openDatabase } from './sqlite-database.ts'
import { answer, type Query } from './sqlite-reader.ts'
import { SqliteWriter, type Write } from './sqlite-writer.ts'
import { storeFailure, type StoreFailure } from './store-error.ts'

export type Request =
  | { readonly writes: readonly string[] }
  | { readonly query: Query }
  | { readonly head: true }
  | { readonly prune: number }
  | { readonly close: true }
export type Reply = { readonly value: unknown } | { readonly failure: StoreFailure }

const port = parentPort
if (port === null) throw new TypeError('this file runs as a worker')

/** Writes come flat, kind and text by turns: one array of strings to clone, whatever is waiting. */
function* unflatten(flat: readonly string[]): Generator<Write> {
  for (let index = 0; index < flat.length; index += 2) yield [flat[index], flat[index + 1]] as unknown as Write
}

function attempt(work: () => unknown): Reply {
  try {
    return { value: work() }
  } catch (error) {
    return { failure: storeFailure(error) }
  }
}

try {
  const options = workerData as DatabaseOptions
  const { auditKey } = options
  const database = openDatabase(options)
  const writer = new SqliteWriter(database, auditKey)
  port.postMessage({ value: 'open' } satisfies Reply)
  port.on('message', (request: Request) => {
    if ('close' in request) {
      port.postMessage(attempt(() => database.close()))
      port.close()
    } else if ('prune' in request) {
      port.postMessage(attempt(() => writer.prune(request.prune)))
    } else if ('head' in request) {
      port.postMessage(attempt(() => writer.head()))
    } else if ('query' in request) {
      port.postMessage(attempt(() => answer(database, auditKey, request.query)))
    } else {
      port.postMessage(attempt(() => writer.commit([...unflatten(request.writes)])))
    }
  })
} catch (error) {
  port.postMessage({ failure: storeFailure(error) } satisfies Reply)
  port.close()
}
