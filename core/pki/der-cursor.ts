import { IdentityError } from '../runtime/errors.ts'
import type { DerValue } from './der.ts'

/**
 * Walks the members of a constructed value in the order of its ASN.1 definition, so that a parser reads as its schema:
 * `take` for a member, `maybe` for an OPTIONAL one, `end` for the closing brace.
 */
export class DerCursor {
  readonly #members: readonly DerValue[]
  readonly #what: string
  #next = 0

  /** @throws {@link IdentityError} `der_invalid` if `value` is not a `tag`; `what` names it in messages. */
  constructor(value: DerValue, tag: number, what: string) {
    if (value.tag !== tag) throw new IdentityError('der_invalid', `${what} has the wrong type`)
    this.#members = value.children
    this.#what = what
  }

  /** The next member, whatever it is. */
  takeAny(member: string): DerValue {
    const value = this.#members[this.#next]
    if (!value) throw new IdentityError('der_invalid', `${this.#what} lacks ${member}`)
    this.#next += 1
    return value
  }

  /** The next member, which must be a `tag`. */
  take(tag: number, member: string): DerValue {
    const value = this.takeAny(member)
    if (value.tag !== tag) throw new IdentityError('der_invalid', `${member} of ${this.#what} has the wrong type`)
    return value
  }

  /** The next member if it is a `tag`. */
  maybe(tag: number): DerValue | undefined {
    const value = this.#members[this.#next]
    if (value?.tag !== tag) return undefined
    this.#next += 1
    return value
  }

  /** Refuses members that the definition does not have. */
  end(): void {
    if (this.#next < this.#members.length) throw new IdentityError('der_invalid', `${this.#what} has too many members`)
  }
}
