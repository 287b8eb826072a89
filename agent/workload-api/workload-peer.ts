const PREFIX = 'workload '

/** How the connections of a workload are named: as no peer is otherwise, for of one that is gone grpc-js says `unknown`. */
export function peerOf(id: string): string {
  return `${PREFIX}${id}`
}

/** The workload whose connection is named so. */
export function workloadOf(peer: string): string | undefined {
  return peer.startsWith(PREFIX) ? peer.slice(PREFIX.length) : undefined
}
