/**
 * What a connection is refused or cut for: what its pod sends, how many streams it opens a second, how often it connects,
 * how many connections it has; or how many the pods of the node have together, which may be another's doing.
 */
export type ConnectionLimit = 'bytes' | 'streams' | 'rate' | 'connections' | 'node'

/** A connection on the socket of the workload `id` was not taken on, or was cut. */
export type Refused = (id: string, limit: ConnectionLimit) => void
