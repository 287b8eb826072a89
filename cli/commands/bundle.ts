import { X509Certificate } from 'node:crypto'
import type { Command } from 'commander'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { commonNameOf } from '../../core/pki/distinguished-name.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { bundleToPem, x509Bundle, type X509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { inFile, readText } from '../files/text-file.ts'
import { TRUST_BUNDLE } from '../installation/names.ts'
import { jsonText } from '../output/json.ts'
import { fields, table } from '../output/table.ts'
import { fromNow, instant } from '../output/time.ts'
import type { Session } from '../session/session.ts'
import { readTrustBundle } from '../trust/trust-bundle.ts'
import type { CommandContext } from './command-context.ts'

interface Flags {
  readonly configMap?: true
  readonly pem?: true
  readonly document?: true
}

export function addBundleCommand(program: Command, context: CommandContext): void {
  const bundle = program
    .command('bundle')
    .summary('whom to trust')
    .description('Trust bundles: the authorities of a trust domain.')
  bundle
    .command('show')
    .summary('the authorities of a trust bundle')
    .description(
      'The authorities of the trust bundle: as the broker has it, as the ConfigMap holds it, or of a file (PEM or SPIFFE document).',
    )
    .argument('[file]', 'a file; without it the broker is asked')
    .option('--config-map', `of the ConfigMap ${TRUST_BUNDLE.namespace}/${TRUST_BUNDLE.name}`)
    .option('--pem', 'as PEM')
    .option('--document', 'as a SPIFFE bundle document')
    .action(async (file: string | undefined, flags: Flags, command: Command) => {
      const session = context.session(command)
      if (flags.pem && flags.document) throw new IdentityError('config_invalid', 'give --pem or --document, not both')
      if (file !== undefined && flags.configMap)
        throw new IdentityError('config_invalid', 'give a file or --config-map, not both')
      const found = await bundleOf(file, flags, session)
      context.out.write(rendered(found, flags, { json: session.options.json, now: context.clock.now() }))
    })
}

async function bundleOf(file: string | undefined, { configMap }: Flags, session: Session): Promise<X509Bundle> {
  const { trustDomain } = session.options
  if (file !== undefined) {
    const text = await readText(file)
    return bundleIn(file, text, trustDomain)
  }
  if (configMap) {
    const published = await session.publishedBundle()
    if (published) return published
    throw new IdentityError(
      'identity_not_found',
      `there is no ConfigMap ${TRUST_BUNDLE.namespace}/${TRUST_BUNDLE.name} with the key ${TRUST_BUNDLE.key}: the broker writes it; countersign check says what is wrong`,
    )
  }
  const admin = await session.admin()
  const answer = await admin.ask((service, options) => service.getBundle({}, options))
  return x509Bundle(TrustDomain.parse(answer.trustDomain), answer.x509Authorities.map(parseCertificate), {
    sequence: answer.sequence,
  })
}

/** The bundle of a file; a certificate that may sign nothing is not taken for an authority. */
function bundleIn(file: string, text: string, trustDomain: TrustDomain | undefined): X509Bundle {
  const bundle = inFile(file, () => readTrustBundle(text, trustDomain))
  if (!bundle.authorities.every(({ der }) => new X509Certificate(der).ca))
    throw new IdentityError('bundle_invalid', `${file} is no trust bundle: it holds a certificate of no authority`)
  return bundle
}

function rendered(bundle: X509Bundle, { pem, document }: Flags, { json, now }: { json: boolean; now: Date }): string {
  if (pem) return bundleToPem(bundle)
  if (document) return `${encodeBundleDocument({ x509: bundle, jwtAuthorities: [] })}\n`
  const { trustDomain, sequence, authorities } = bundle
  if (json)
    return jsonText({
      trustDomain,
      sequence,
      authorities: authorities.map(({ subject, subjectKeyIdentifier, serialNumber, notBefore, notAfter }) => ({
        keyId: subjectKeyIdentifier?.toString('hex'),
        commonName: commonNameOf(subject),
        serialNumber,
        notBefore,
        notAfter,
      })),
    })
  const head = fields([
    ['Trust domain', trustDomain.toString()],
    ['Sequence', sequence === 0n ? undefined : String(sequence)],
  ])
  const rows = authorities.map(({ subject, subjectKeyIdentifier, notAfter }) => [
    subjectKeyIdentifier?.toString('hex') ?? '',
    commonNameOf(subject) ?? '',
    instant(notAfter),
    fromNow(notAfter, now),
  ])
  return `${head}\n${table(['AUTHORITY', 'NAME', 'NOT AFTER', 'EXPIRES'], rows)}`
}
