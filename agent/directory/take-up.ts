import type { Readers } from '../volume/readers.ts'
import type { Delivery, PodRef, WorkloadRequest } from '../workloads/workload.ts'
import { readDeclaredToken } from './declared-token.ts'
import type { DeliveredNames } from './delivered-names.ts'
import { mustGo } from './held-files.ts'
import { mismatch, readersOf, type WorkloadDeclaration } from './workload-declaration.ts'

/** What is asked of the node's workloads. */
export interface DeclaredTarget {
  has(id: string): boolean
  add(workload: WorkloadRequest): Promise<void>
  recover(workload: WorkloadRequest): Promise<void>
  refreshToken(id: string, token: string, pod: PodRef): void
  remove(id: string): Promise<void>
}

/** A delivery that can say whether a former run has made it and for whom, and that can be taken from them. */
export interface DeclaredDelivery extends Delivery {
  /** From now on it is open to nobody but its owner. */
  shut(): Promise<void>
  /** Whether it is open to exactly these. */
  admits(readers: Readers): Promise<boolean>
  exists(): Promise<boolean>
}

/** A workload that is served or about to be, and what its files are. */
export interface Known {
  /** Unknown until a token is read, where nobody wrote it down. */
  podUid: string | undefined
  token: string | undefined
  readonly delivery: DeclaredDelivery
  /** Whom it is open to; unknown where it could not be taken from somebody. */
  readers: Readers | undefined
  /** The broker has believed that it is this pod. */
  isServed: boolean
}

interface Dependencies {
  readonly target: Pick<DeclaredTarget, 'recover'>
  readonly deliverTo: (name: string, readers: Readers) => DeclaredDelivery
  readonly delivered: DeliveredNames
}

/**
 * Takes up what a former run delivered, without a token: that comes later and on its own, as kubelet's would. What is
 * another pod's than the one that bears the name now, or for others to read, is removed.
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
  const heldUid = delivered.podOf(name)
  const pod = await readDeclaredToken(declaration.tokenFile).then(
    (declared) => declared.pod,
    () => undefined,
  )
  const isDeclared = pod !== undefined && mismatch(declaration, pod) === undefined
  const readers = readersOf(declaration)
  const hasSame = await delivery.admits(readers)
  if (!hasSame) await delivery.shut()
  // Taking it from those who had it hands it to nobody.
  const sameReaders = hasSame || readers === 'owner'
  if (mustGo(heldUid, pod && { podUid: pod.podUid, isDeclared }, { sameReaders })) {
    await delivery.remove()
    await delivered.delete(name)
    return undefined
  }
  // Where no token says which pod this is, the rest of what it is comes with the first one that does.
  const own = isDeclared ? pod : { podUid: heldUid ?? '', podName: name, namespace: '', serviceAccount: '' }
  await target.recover({ id: name, pod: own, delivery })
  return {
    podUid: own.podUid || undefined,
    token: undefined,
    delivery,
    readers: hasSame ? readers : 'owner',
    isServed: true,
  }
}
