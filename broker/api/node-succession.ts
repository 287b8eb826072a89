import type { Caller } from './caller.ts'

type Agent = Extract<Caller, { kind: 'agent' }>
type Known = Pick<Agent, 'nodeUid' | 'notBefore' | 'notAfter'>

/**
 * Which node bears a name. Kubernetes gives the name of a deleted node to another, while the SVID of the first one's agent
 * is good for up to an hour more: whoever has that may not use up what the second is entitled to, nor speak for it. The
 * newer SVID is that of the node that is there: one that is gone is not attested again, for its pods are deleted with it
 * (not so within the minute until they are, nor where the JWK Set alone vouches; docs/threat-model.md).
 */
export class NodeSuccession {
  /** By name; the one heard of longest ago first. Never more than have an SVID that is good. */
  readonly #known = new Map<string, Known>()

  /** `successor` ends what there is of the node that bore the name before. */
  judge(agent: Agent, now: Date): 'same' | 'successor' | 'predecessor' {
    this.#forgetEnded(now)
    const known = this.#known.get(agent.nodeName)
    const isOther = known !== undefined && known.nodeUid !== agent.nodeUid
    // One from the future is of a clock that was set back since, and would keep the node out that was attested after it.
    const isNewer = !known || agent.notBefore > known.notBefore || known.notBefore > now
    if (isOther && !isNewer) return 'predecessor'
    const { nodeName, nodeUid } = agent
    const { notBefore, notAfter } = isNewer ? agent : known
    this.#known.delete(nodeName)
    this.#known.set(nodeName, { nodeUid, notBefore, notAfter })
    return isOther ? 'successor' : 'same'
  }

  #forgetEnded(now: Date): void {
    for (const [nodeName, { notAfter }] of this.#known) {
      if (notAfter > now) return
      this.#known.delete(nodeName)
    }
  }
}
