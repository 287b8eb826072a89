import { IdentityError } from '../../core/runtime/errors.ts'
import { parseDuration } from '../../core/runtime/duration.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'

/** Flags that every command takes, as commander hands them over. */
export interface GlobalFlags {
  readonly kubeconfig?: string
  readonly context?: string
  readonly namespace?: string
  readonly broker?: string
  readonly trustDomain?: string
  readonly bundleFile?: string
  readonly tokenFile?: string
  readonly requestTimeout: string
  readonly json?: true
}

/** The same, checked. */
export interface GlobalOptions {
  readonly kubeconfig: string | undefined
  readonly context: string | undefined
  readonly namespace: string | undefined
  /** `host:port`. */
  readonly broker: string | undefined
  readonly trustDomain: TrustDomain | undefined
  readonly bundleFile: string | undefined
  readonly tokenFile: string | undefined
  readonly requestTimeoutMs: number
  readonly json: boolean
}

/** @throws {@link IdentityError} `config_invalid`. */
export function globalOptions(flags: GlobalFlags): GlobalOptions {
  const { kubeconfig, context, namespace, broker, bundleFile, tokenFile, requestTimeout, json } = flags
  if (broker !== undefined && !/^(?:\[[^\]]+\]|[^:\s]+):\d{1,5}$/.test(broker))
    throw new IdentityError('config_invalid', `--broker ${broker}: write host:port, for example 10.0.0.7:8444`)
  return {
    kubeconfig,
    context,
    namespace,
    broker,
    trustDomain: trustDomainOf(flags.trustDomain),
    bundleFile,
    tokenFile,
    requestTimeoutMs: durationFlag('--request-timeout', requestTimeout),
    json: json === true,
  }
}

/** @throws {@link IdentityError} `config_invalid`, naming the flag. */
export function durationFlag(flag: string, text: string): number {
  try {
    return parseDuration(text)
  } catch (error) {
    throw new IdentityError('config_invalid', `${flag}: ${(error as Error).message}`)
  }
}

function trustDomainOf(text: string | undefined): TrustDomain | undefined {
  try {
    return text === undefined ? undefined : TrustDomain.parse(text)
  } catch (error) {
    throw new IdentityError('config_invalid', `--trust-domain: ${(error as Error).message}`)
  }
}
