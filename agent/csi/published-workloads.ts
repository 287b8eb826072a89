import type { WorkloadRequest } from '../workloads/workload.ts'

/** What the CSI driver asks of the node's workloads. The ID of a workload is its volume's. */
export interface PublishedWorkloads {
  /** Resolves once the identity is in the volume and the socket listens; may take 100 s while the broker is away. */
  add(workload: WorkloadRequest): Promise<void>
  /** Serves what the volume holds already; asks for nothing and waits for nobody. */
  recover(workload: WorkloadRequest): Promise<void>
  /** kubelet brought a newer token. Never throws. */
  refreshToken(id: string, token: string): void
  /** Ends streams, wipes and unmounts; nothing for an unknown ID. Ends an `add` that has not come to its end. */
  remove(id: string): Promise<void>
}
