/**
 * Who people are and how they prove it: accounts, credentials, second factors, one-time codes, sessions, invitations.
 *
 * https://pages.nist.gov/800-63-4/sp800-63b.html
 */
export type { AccountChange, AccountStore, NewAccount, StoredAccount } from './accounts.js'
export { breached } from './breached.js'
export { type Contact, contactOf } from './contact.js'
export {
  consoleDelivery,
  type Deliver,
  deliveryBy,
  type Message,
  type Send,
  smtpDelivery,
  webhookDelivery,
} from './delivery.js'
export type { Apps } from './own-pages.js'
export { type People, type PeopleOptions, people } from './people.js'
export { type Granter, mayGrant, needsSecondFactor } from './ranks.js'
export type { Recorder } from './record.js'
export { AccountRefused } from './refused.js'
export type { Session, SessionLimits } from './sessions.js'
