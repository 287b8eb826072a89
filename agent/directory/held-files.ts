/** What is known of the files of a workload. */
export interface HeldFiles {
  /** The UID of the pod they are of; unknown until a token is read, where nobody wrote it down. */
  readonly podUid: string | undefined
  /** Written down as they were made, and not concluded from a token that was read later. */
  readonly recorded: boolean
}

/** The pod that a token names, and whether the declaration lets it be that one. */
export interface NamedPod {
  readonly podUid: string
  readonly isDeclared: boolean
}

/**
 * Whether files are, or may be, of another workload than the one that bears their name now: then they go, and are made
 * anew. While no token says which pod that is they stay, but are open to nobody who has not had them before.
 *
 * @param sameReaders whether those whom the declaration lets in are those who have the files.
 */
export function mustGo(
  { podUid, recorded }: HeldFiles,
  named: NamedPod | undefined,
  { sameReaders }: { readonly sameReaders: boolean },
): boolean {
  if (named === undefined) return false
  const mayBeOfIt = podUid === undefined || podUid === named.podUid
  // Whoever can put a wrong token in place takes nothing from the pod that has the files.
  if (!named.isDeclared) return mayBeOfIt
  // What an agent left that did not write down whose it is stays with those who have it: over an update the broker may be
  // away, and without it they would have nothing. It is never handed to anybody else.
  return !mayBeOfIt || (!recorded && !sameReaders)
}
