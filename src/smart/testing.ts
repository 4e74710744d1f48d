/**
 * People for tests: whoever says who they are is signed in.
 */
import type { Account } from './account.js'
import type { AuthorizationServer, People } from './authorization-server.js'
import { pages } from './pages/index.js'

/** A sign-in page that believes the field `subject` of a form, or the query. */
export function believing(accounts: Map<string, Account>, alive: Set<string>) {
  return {
    accounts: { bySubject: async (subject: string) => accounts.get(subject) },
    people: ({ context }: AuthorizationServer): People => {
      const base = new URL(context.issuer).pathname
      const site = pages({
        tenant: context.tenant,
        site: context.settings.title,
        base,
        secure: context.issuer.startsWith('https:'),
        key: new Uint8Array(32),
      })
      return {
        pages: site,
        isOnline: async (session) => alive.has(session),
        answer: async () => false,
        logins: {
          login: async ({ request, response, path, finish, deny, mfa, signedInAfter }) => {
            const asked = new URLSearchParams(request.headers['x-test-sign-in'] as string | undefined)
            const subject = asked.get('subject')
            if (asked.has('deny')) return deny()
            if (subject === null) {
              response.writeHead(200, { 'Content-Type': 'text/plain' })
              response.end(`sign in at ${path} ${mfa ? 'mfa' : ''} ${signedInAfter ?? ''}`)
              return
            }
            const at = asked.has('at') ? Number(asked.get('at')) : context.clock()
            alive.add(`session-${subject}`)
            return finish({
              subject,
              at,
              methods: asked.has('mfa') ? ['pwd', 'otp', 'mfa'] : ['pwd'],
              session: `session-${subject}`,
            })
          },
        },
      }
    },
  }
}
