/** The pod that a token names, and whether the declaration lets it be that one. Nobody has verified its signature. */
export interface NamedPod {
  readonly podUid: string
  readonly isDeclared: boolean
}

/**
 * Whether files go, and are made anew: those that are, or may be, of another workload than the one that bears their name
 * now, and those that others are to read. While no token says which pod that is they stay, but are open to nobody who has
 * not had them before.
 *
 * What is there is never handed to others, whatever their token says: whoever can write it makes it name the pod of the
 * files. What is made anew comes of a token that the broker has judged.
 *
 * @param heldUid the pod that the files are of; unknown until a token is read, where nobody wrote it down.
 * @param sameReaders whether those whom the declaration lets in are those who have the files.
 */
export function mustGo(
  heldUid: string | undefined,
  named: NamedPod | undefined,
  { sameReaders }: { readonly sameReaders: boolean },
): boolean {
  if (named === undefined) return false
  const mayBeOfIt = heldUid === undefined || heldUid === named.podUid
  // Whoever can put a wrong token in place takes nothing from the pod that has the files.
  if (!named.isDeclared) return mayBeOfIt
  return !mayBeOfIt || !sameReaders
}
