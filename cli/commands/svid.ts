import type { Command } from 'commander'
import { IdentityError } from '../../core/runtime/errors.ts'
import { printableLine } from '../../core/runtime/printable.ts'
import { inFile } from '../files/text-file.ts'
import { mountedVolume, readPodFile } from '../kubernetes/pod-files.ts'
import { jsonText } from '../output/json.ts'
import { fields } from '../output/table.ts'
import { instant, instantAndSpan } from '../output/time.ts'
import { namedPod } from '../session/named-pod.ts'
import type { Session } from '../session/session.ts'
import { authoritiesForPod } from '../svid/pod-authorities.ts'
import {
  AUTHORITIES_FILE,
  certificatesOf,
  CHAIN_FILE,
  kindOfPath,
  readSvidDirectory,
  readSvidFile,
} from '../svid/read-svid-files.ts'
import { readSvidSocket } from '../svid/read-svid-socket.ts'
import { type FoundSvid, type SvidReport, svidReport } from '../svid/svid-report.ts'
import type { CommandContext } from './command-context.ts'

interface Flags {
  readonly pod?: string
}

export function addSvidCommand(program: Command, context: CommandContext): void {
  const svid = program
    .command('svid')
    .summary('what is in a certificate')
    .description('X.509-SVIDs, wherever they are.')
  svid
    .command('show')
    .summary('the SVID of a volume, a file, a Workload API socket or a pod')
    .description(
      'Shows an SVID and whether the bundle beside it vouches for it: of a folder with tls.crt, a PEM file, the socket of a Workload API, or a running pod (its public files, read with cat in its container, and held to the published trust bundle). A key is compared, and never shown.',
    )
    .argument('[path]', 'a folder, a PEM file or a socket')
    .option('--pod <namespace/name>', 'of this pod; without a namespace that of --namespace')
    .action(async (path: string | undefined, { pod }: Flags, command: Command) => {
      const session = context.session(command)
      if ((path === undefined) === (pod === undefined))
        throw new IdentityError('config_invalid', 'give a path, or --pod: one of the two')
      const now = context.clock.now()
      const found = pod === undefined ? await atPath(path ?? '', session) : [await inPod(pod, session)]
      const reports = found.map((each) => svidReport(each, now))
      context.out.write(
        session.options.json ? jsonText(reports) : reports.map((each) => svidText(each, now)).join('\n'),
      )
      if (!reports.every((report) => isGood(report, now))) context.end('failed')
    })
}

/** A bundle or a key that is not there speaks neither for nor against it. */
function isGood({ notBefore, notAfter, verified, keyMatches }: SvidReport, now: Date): boolean {
  return now >= notBefore && now < notAfter && verified?.ok !== false && keyMatches !== false
}

async function atPath(path: string, { clock, options }: Session): Promise<FoundSvid[]> {
  const kind = await kindOfPath(path)
  if (kind === 'socket') return readSvidSocket(path, { clock, timeoutMs: options.requestTimeoutMs })
  return [await (kind === 'directory' ? readSvidDirectory(path) : readSvidFile(path))]
}

async function inPod(text: string, session: Session): Promise<FoundSvid> {
  const { namespace, name: pod } = await namedPod('--pod', text, session)
  const cluster = await session.cluster()
  const { container, path } = await mountedVolume(cluster, namespace, pod)
  const read = async (name: string) => {
    const file = `${path}/${name}`
    const pem = await readPodFile(cluster, {
      namespace,
      pod,
      container,
      file,
      timeoutMs: session.options.requestTimeoutMs,
    })
    return inFile(printableLine(`${file} in container ${container} of ${namespace}/${pod}`), () => certificatesOf(pem))
  }
  const [chain, authorities] = await Promise.all([read(CHAIN_FILE), read(AUTHORITIES_FILE)])
  return {
    source: printableLine(`pod ${namespace}/${pod}, container ${container}, ${path}`),
    chain,
    ...(await authoritiesForPod(authorities, () => session.publishedBundle())),
  }
}

export function svidText(report: SvidReport, now: Date): string {
  const { verified, keyMatches } = report
  return fields([
    ['Source', report.source],
    ['SPIFFE ID', report.spiffeId || 'none: this is no SVID'],
    ['DNS names', report.dnsNames.join(', ')],
    ['Common name', report.commonName],
    ['Serial number', report.serialNumber],
    ['Valid from', instant(report.notBefore)],
    ['Expires', instantAndSpan(report.notAfter, now)],
    ['Key', `${report.keyType}, SHA-256 ${report.publicKeySha256}`],
    ['Authority', report.authorityKeyId],
    ['Intermediates', report.intermediates > 0 ? String(report.intermediates) : undefined],
    ['Verified', verified ? `${verified.ok ? 'yes' : 'NO'}, ${verified.reason}` : 'no bundle beside it'],
    [
      'Private key',
      keyMatches === undefined ? 'not looked at' : keyMatches ? 'belongs to it' : 'DOES NOT BELONG TO IT',
    ],
  ])
}
