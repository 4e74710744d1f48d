/**
 * Cookies of the pages: never readable by scripts, never sent by other sites' forms, bound to our host.
 *
 * https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis-20#name-the-__host-prefix
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

export type Cookies = {
  read(request: IncomingMessage, name: string): string | undefined
  /** Until the browser is closed when there is no `seconds`. */
  write(response: ServerResponse, name: string, value: string, seconds?: number): void
  clear(response: ServerResponse, name: string): void
}

/** `__Host-` demands the path `/`, so that tenants beside each other tell their cookies by name. */
export function cookies({ secure, tenant }: { secure: boolean; tenant: string }): Cookies {
  const full = (name: string): string => `${secure ? '__Host-' : ''}${name}.${tenant}`
  const write = (response: ServerResponse, name: string, value: string, seconds?: number): void => {
    response.appendHeader(
      'Set-Cookie',
      `${full(name)}=${value}; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}${
        seconds === undefined ? '' : `; Max-Age=${seconds}`
      }`,
    )
  }
  return {
    read: (request, name) => {
      const wanted = `${full(name)}=`
      const found = (request.headers.cookie ?? '').split(/; */).find((each) => each.startsWith(wanted))
      const value = found?.slice(wanted.length)
      return value !== undefined && /^[\w.-]{1,200}$/.test(value) ? value : undefined
    },
    write,
    clear: (response, name) => write(response, name, '', 0),
  }
}
