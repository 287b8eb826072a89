import type { AttestedNode } from './attested.ts'

export class NodeAttestor {
  attest(_token: string, _signal: AbortSignal): Promise<AttestedNode> {
    return Promise.reject(new Error('being written'))
  }
}
