export * from './account.js'
export { AuthorizationServer, type People } from './authorization-server.js'
export { Clients, type RegisteredClient, type Registration, RegistrationRefused } from './clients.js'
export { type Granted, Grants } from './grants.js'
export { type CallerSpec, MintRefused, mintToken } from './mint.js'
export {
  AccountRefused,
  type Apps,
  breached,
  type Contact,
  consoleDelivery,
  type Deliver,
  deliveryBy,
  type Granter,
  mayGrant,
  type NewAccount,
  type PeopleOfTenant,
  type PeopleOptions,
  people,
  type Send,
  smtpDelivery,
  webhookDelivery,
} from './people/index.js'
export { sendJson, sendOpen } from './send-json.js'
export type * from './smart-context.js'
