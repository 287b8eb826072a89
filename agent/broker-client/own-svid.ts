import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import { readSmallFile } from '../../core/runtime/small-file.ts'
import { renewalTimeMs } from '../rotation/renewal-time.ts'
import { type AgentIdentity, attestNode } from './attest-node.ts'
import { openBrokerChannel, withFailure } from './broker-channel.ts'
import type { HeldTrust } from './held-trust.ts'

interface Dependencies {
  readonly trust: HeldTrust
  readonly clock: Clock
  readonly isConnected: () => boolean
  readonly attested: (identity: AgentIdentity) => void
  readonly measured: (skewMs: number) => void
  /** Attestation failed, and what is held is used for another while. */
  readonly failed: (error: unknown) => void
}

interface Config {
  readonly address: string
  readonly nodeName: string | undefined
  /** The agent's own projected token; read again for each attestation. */
  readonly tokenFile: string
}

const MAX_TOKEN_BYTES = 16 * 1024

/** The agent's own SVID: got and renewed by attesting the node, with the token as its file has it at that moment. */
export class OwnSvid {
  readonly #config: Config
  readonly #dependencies: Dependencies
  #identity: AgentIdentity | undefined
  #hurry = new AbortController()

  constructor(config: Config, dependencies: Dependencies) {
    this.#config = config
    this.#dependencies = dependencies
  }

  /** How long it has left, in milliseconds; undefined before the first. */
  get leftMs(): number | undefined {
    return this.#identity && this.#identity.expiresAtMs - this.#dependencies.clock.monotonicMs()
  }

  /** What is held, or a new one when it is time. */
  async current(signal: AbortSignal): Promise<AgentIdentity> {
    const { trust, clock, isConnected, attested, measured, failed } = this.#dependencies
    const { address, tokenFile, nodeName } = this.#config
    if (this.#identity && !this.#hurry.signal.aborted && clock.monotonicMs() < renewAtMs(this.#identity))
      return this.#identity
    const token = await readToken(tokenFile)
    const channel = openBrokerChannel({ address, bundle: () => trust.own, clock })
    try {
      const { identity, bundle, skewMs } = await attestNode(channel, { token, nodeName }, clock, signal)
      trust.receiveOwn(bundle)
      if (skewMs !== undefined) measured(skewMs)
      this.#identity = identity
      this.#hurry = new AbortController()
      attested(identity)
      return identity
    } catch (error) {
      // What is held is good for another while, if only attestation fails and there is no connection left to wait on.
      const held = this.#identity
      if (!held || isConnected() || signal.aborted || held.expiresAtMs <= clock.monotonicMs())
        throw withFailure(error, channel)
      failed(withFailure(error, channel))
      return held
    } finally {
      channel.close()
    }
  }

  /** Resolves when `identity` is to be renewed, or `over` is aborted. */
  async due(identity: AgentIdentity, over: AbortSignal): Promise<void> {
    const { clock } = this.#dependencies
    const waitMs = Math.max(0, renewAtMs(identity) - clock.monotonicMs())
    await clock.sleep(waitMs, AbortSignal.any([over, this.#hurry.signal])).catch(() => {})
  }

  /** It is due at once if one of these authorities signed it. */
  hurryIfSignedBy(authorityKeyIds: ReadonlySet<string>): void {
    if (this.#identity && authorityKeyIds.has(this.#identity.authorityKeyId)) this.#hurry.abort()
  }

  /** What the broker no longer takes is thrown away. */
  learnFrom(error: unknown): void {
    if (codeOf(error).startsWith('agent_certificate_')) this.#identity = undefined
  }
}

/** The middle of the jitter: the agents' own SVIDs are as many as nodes, and start when nodes do. */
function renewAtMs(identity: AgentIdentity): number {
  return renewalTimeMs(identity, 0.5)
}

async function readToken(file: string): Promise<string> {
  try {
    const token = (await readSmallFile(file, MAX_TOKEN_BYTES)).trim()
    if (token.length > MAX_TOKEN_BYTES)
      throw new IdentityError('token_too_large', `${file} is no token: it is larger than 16 KiB`)
    return token
  } catch (error) {
    if (error instanceof IdentityError) throw error
    throw new IdentityError(
      'config_invalid',
      `the token file ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`,
    )
  }
}
