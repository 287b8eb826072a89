import { logToStderr } from '../cluster/base/log.ts'
import { tryRun } from '../cluster/base/run.ts'
import { buildTools } from '../cluster/tools/build.ts'
import { KUBE_SCORE } from '../cluster/tools/catalog.ts'
import type { Manifest } from './helm.ts'

const FULL_GRADE = 10
const ANNOTATION = 'kube-score/ignore'

interface ScoredObject {
  readonly type_meta: { readonly kind: string }
  readonly object_meta: { readonly name: string }
  readonly checks: readonly {
    readonly check: { readonly id: string }
    readonly grade: number
    readonly skipped: boolean
    readonly comments: readonly { readonly summary: string }[] | null
  }[]
}

/** What kube-score finds fault with: `<check> of <kind> <name>: why`. */
export async function kubeScore(manifests: string, flags: readonly string[] = []): Promise<string[]> {
  const tools = await buildTools(logToStderr, undefined, [KUBE_SCORE])
  // The flag is an exception too, and written down as one.
  const args = ['score', '--output-format', 'json', '--kubernetes-version', 'v1.34', '--ignore-container-cpu-limit']
  const { stdout, stderr } = await tryRun(tools['kube-score'] ?? '', [...args, ...flags, '-'], { stdin: manifests })
  if (!stdout.startsWith('[')) throw new Error(`kube-score failed: ${stderr}`)
  return (JSON.parse(stdout) as ScoredObject[]).flatMap(({ type_meta: { kind }, object_meta: { name }, checks }) =>
    checks
      .filter(({ skipped, grade }) => !skipped && grade < FULL_GRADE)
      .map(({ check, comments }) => {
        const why = (comments ?? []).map(({ summary }) => summary).join('; ')
        return `${check.id} of ${kind} ${name}: ${why}`
      }),
  )
}

/** The exceptions that the objects themselves ask for, sorted. */
export function ignoredChecks(manifests: readonly Manifest[]): string[] {
  return manifests
    .flatMap(({ kind, metadata: { name, annotations } }) =>
      (annotations?.[ANNOTATION]?.split(',') ?? []).map((check) => `${check} of ${kind} ${name}`),
    )
    .sort()
}
