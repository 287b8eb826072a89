import { createCsr } from '../../../core/pki/csr.ts'
import { generateKeyPairSync } from 'node:crypto'
import { TokenIssuer } from '../../fakes/token-issuer.ts'
import { AUDIENCE } from '../stage.ts'

/** What is needed to ask for one SVID: made before anything is measured. */
export interface Ticket {
  readonly token: string
  readonly podUid: string
  readonly csr: Uint8Array
}

export const nodeName = (node: number) => `node-${node}`

/** Tokens of pods and agents that were never there: the JWK Set vouches for them. */
export class Tickets {
  readonly issuer = new TokenIssuer({ issuer: 'https://tokens.bench.example' })
  #pods = 0

  agentToken(node: number): string {
    return this.#mint('countersign-agent', 'countersign-agent', node).token
  }

  /** A pod of its own on `node`, with token and key. */
  ticket(node: number): Ticket {
    this.#pods += 1
    return { ...this.#mint(`team-${this.#pods % 50}`, `app-${this.#pods % 20}`, node), csr: newCsr() }
  }

  #mint(namespace: string, serviceAccount: string, node: number): Omit<Ticket, 'csr'> {
    const podUid = crypto.randomUUID()
    const facts = {
      namespace,
      serviceAccount,
      serviceAccountUid: `5e1f0000-0000-4000-8000-${serviceAccount.length.toString().padStart(12, '0')}`,
      podName: `${serviceAccount}-${podUid.slice(0, 8)}`,
      podUid,
      nodeName: nodeName(node),
      nodeUid: `0de00000-0000-4000-8000-${String(node).padStart(12, '0')}`,
      tokenId: crypto.randomUUID(),
    }
    return { token: this.issuer.mint({ facts, audience: AUDIENCE }), podUid }
  }
}

export function newCsr(): Uint8Array {
  return createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
}
