import { stringify } from 'yaml'
import { type Manifest, renderChart } from './helm.ts'

/** Rendered for the oldest API server that understands all of it; older ones need Helm, which asks them. */
const KUBE_VERSION = '1.35.0'

const FILES: readonly (readonly [name: string, holds: (manifest: Manifest) => boolean])[] = [
  ['1-namespaces.yaml', ({ kind }) => kind === 'Namespace'],
  ['2-custom-resource-definitions.yaml', ({ kind }) => kind === 'CustomResourceDefinition'],
  // On its own, so that whoever deletes all that runs keeps the records.
  ['3-ledger.yaml', ({ kind }) => kind === 'PersistentVolumeClaim'],
  ['4-countersign.yaml', () => true],
]

const HEADER = `# Rendered from deploy/chart by \`npm run manifests\`, for those without Helm. Kubernetes 1.35 or newer. Replace the trust
# domain and the image by yours, and apply what comes out, in the order of the files:
#
#     cat deploy/manifests/*.yaml | sed 's/prod\\.example/your.domain/g; s#localhost/countersign:#your.registry/countersign:#' |
#       kubectl apply --server-side -f -
`

/** The files of `deploy/manifests` by name: the chart with its default values, and both namespaces. */
export async function manifestFiles(): Promise<Readonly<Record<string, string>>> {
  const objects = await renderChart({
    values: { namespaces: { createSystem: true }, uninstallCheck: { enabled: false } },
    kubeVersion: KUBE_VERSION,
    hooks: false,
  })
  const left = new Set(objects.map(withoutHelm))
  const files = FILES.map(([name, holds]) => {
    const inFile = [...left].filter(holds)
    for (const object of inFile) left.delete(object)
    const text = inFile.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
    return [name, `${HEADER}---\n${text.join('---\n')}`] as const
  })
  return Object.fromEntries(files)
}

/** Without what only Helm understands. */
function withoutHelm({ apiVersion, kind, metadata, ...object }: Manifest): Manifest {
  const { annotations = {}, ...rest } = metadata
  const kept = Object.entries(annotations).filter(([name]) => !name.startsWith('helm.sh/'))
  const without = { ...rest, ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }) }
  return { apiVersion, kind, metadata: without, ...object }
}
