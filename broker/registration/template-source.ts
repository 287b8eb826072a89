import type { IdentityTemplate } from './identity-template.ts'

/** Where templates come from: a directory, or the API server. */
export interface TemplateSource {
  /**
   * All templates that are in force. The same array until something changes.
   *
   * @throws `IdentityError` `kubernetes_unavailable` as long as they have never been read: not knowing templates is not
   *   having none.
   */
  current(): readonly IdentityTemplate[]
  /** What each object has come to; absent where templates are no objects. */
  readonly statuses?: () => readonly TemplateState[]
}

/** What a template has come to, as its status says it. */
export interface TemplateState {
  readonly name: string
  readonly generation: number
  readonly ready: boolean
  readonly reason: string
  readonly message: string
  /** `undefined` as long as the pods are not known. */
  readonly serves: { readonly pods: number; readonly serviceAccounts: readonly string[] } | undefined
}
