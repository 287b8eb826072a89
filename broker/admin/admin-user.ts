/** Who calls, in the words that the API server authorizes by (authentication.k8s.io UserInfo). */
export interface AdminUser {
  readonly name: string
  readonly uid: string | undefined
  readonly groups: readonly string[]
  readonly extra: Readonly<Record<string, readonly string[]>>
}

/** How the caller has shown who it is. */
export type ShownBy = 'token' | 'svid'

export interface AdminCaller {
  readonly user: AdminUser
  readonly shownBy: ShownBy
}

/** The group of all whose SVID says who they are; their name is their SPIFFE ID. */
export const SVID_GROUP = 'countersign:svids'
