import type { IdentityTemplate } from './identity-template.ts'

/** Where templates come from: a directory, or the API server. */
export interface TemplateSource {
  /** All templates that are in force. The same array until something changes. */
  current(): readonly IdentityTemplate[]
}
