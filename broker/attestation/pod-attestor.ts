import type { AttestedPod } from './attested.ts'

/** What an agent brings forward for a pod. */
export interface PodEvidence {
  /** The pod's ServiceAccount token as kubelet handed it over. */
  readonly token: string
  /** The pod that the agent asks for. */
  readonly podUid: string
  /** The node of the agent that calls. */
  readonly nodeName: string
  readonly nodeUid?: string
}

export class PodAttestor {
  attest(_evidence: PodEvidence, _signal: AbortSignal): Promise<AttestedPod> {
    return Promise.reject(new Error('being written'))
  }
}
