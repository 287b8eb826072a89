import type { Readers } from '../volume/readers.ts'
import type { Delivery, PodRef, WorkloadRequest } from '../workloads/workload.ts'
import { readDeclaredToken } from './declared-token.ts'
import type { DeliveredNames } from './delivered-names.ts'
import { type HeldFiles, mustGo } from './held-files.ts'
import { mismatch, readersOf, type WorkloadDeclaration } from './workload-declaration.ts'

/** What is asked of the node's workloads. */
export interface DeclaredTarget {
  has(id: string): boolean
  add(workload: WorkloadRequest): Promise<void>
  recover(workload: WorkloadRequest): Promise<void>
  refreshToken(id: string, token: string, pod: PodRef): void
  remove(id: string): Promise<void>
}

/** A delivery that can say whether a former run has made it, and that can change hands. */
export interface DeclaredDelivery extends Delivery {
  admit(readers: Readers): Promise<void>
  /** Whether it is open to exactly these. */
  admits(readers: Readers): Promise<boolean>
  exists(): Promise<boolean>
}

/** A workload that is served, and what its files are. */
export interface Known extends HeldFiles {
  podUid: string | undefined
  token: string | undefined
  readonly delivery: DeclaredDelivery
  /** Whom it is open to. */
  readers: Readers
}

interface Dependencies {
  readonly target: Pick<DeclaredTarget, 'recover'>
  readonly deliverTo: (name: string, readers: Readers) => DeclaredDelivery
  readonly delivered: DeliveredNames
}

/**
 * Takes up what a former run delivered, without a token: that comes later and on its own, as kubelet's would. Other readers
 * than it had come with that token, too. What is another pod's than the one that bears the name now is removed.
 *
 * @returns nothing if nothing is there, or any more.
 */
export async function takeUp(declaration: WorkloadDeclaration, dependencies: Dependencies): Promise<Known | undefined> {
  const delivery = dependencies.deliverTo(declaration.name, readersOf(declaration))
  try {
    if (await delivery.exists()) return await takeUpFrom(delivery, declaration, dependencies)
    await delivery.close()
    return undefined
  } catch (error) {
    await delivery.close().catch(() => {})
    throw error
  }
}

async function takeUpFrom(
  delivery: DeclaredDelivery,
  declaration: WorkloadDeclaration,
  { target, delivered }: Dependencies,
): Promise<Known | undefined> {
  const { name } = declaration
  const recorded = delivered.podOf(name)
  const held = { podUid: recorded, recorded: recorded !== undefined }
  const pod = await readDeclaredToken(declaration.tokenFile).then(
    (declared) => declared.pod,
    () => undefined,
  )
  const isDeclared = pod !== undefined && mismatch(declaration, pod) === undefined
  const sameReaders = await delivery.admits(readersOf(declaration))
  if (mustGo(held, pod && { podUid: pod.podUid, isDeclared }, { sameReaders })) {
    await delivery.remove()
    await delivered.delete(name)
    return undefined
  }
  if (!sameReaders) await delivery.admit('owner')
  // Where no token says which pod this is, the rest of what it is comes with the first one that does.
  const own = isDeclared ? pod : { podUid: recorded ?? '', podName: name, namespace: '', serviceAccount: '' }
  await target.recover({ id: name, pod: own, delivery })
  const readers = sameReaders ? readersOf(declaration) : 'owner'
  return { ...held, podUid: own.podUid || undefined, token: undefined, delivery, readers }
}
