/**
 * Why somebody is not signed in, in words that tell a stranger nothing about an account.
 */

/** `credentials`: name or password; `code`: any code; `tooMany`: of this account from here; `busy`: of everybody. */
export type Refusal = 'credentials' | 'code' | 'tooMany' | 'busy'

export class SignInRefused extends Error {
  override name = 'SignInRefused'

  constructor(
    readonly kind: Refusal,
    /** How long to wait before it is worth trying again. */
    readonly waitMs = 0,
  ) {
    super(kind)
  }
}

/** What cannot be done with an account, and why: for administrators and for the page that says so. */
export class AccountRefused extends Error {
  override name = 'AccountRefused'

  constructor(
    readonly kind:
      | 'taken'
      | 'userName'
      | 'contact'
      | 'role'
      | 'absent'
      | 'short'
      | 'long'
      | 'known'
      | 'differ'
      | 'fields',
    message: string,
  ) {
    super(message)
  }
}
