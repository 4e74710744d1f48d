/**
 * An app of two static pages with fhirclient's own build, unchanged: one that launches, and one that is come back to.
 *
 * https://docs.smarthealthit.org/client-js/
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'

export type BrowserApp = {
  origin: string
  redirectUri: string
  /** What the app asks for stands in the address, so that one app serves all tests. */
  launchUri(ask: { client: string; scope: string; iss?: string }): string
  close(): Promise<void>
}

const library = readFileSync(
  join(dirname(createRequire(import.meta.url).resolve('fhirclient/package.json')), 'build', 'fhir-client.min.js'),
)

const page = (script: string): string =>
  `<!doctype html><html lang="en"><title>App</title><script src="/fhir-client.js"></script><script>${script}</script>`

/** `iss` and `launch` are read from the address by fhirclient itself. */
const launch = `
  const asked = new URLSearchParams(location.search)
  FHIR.oauth2.authorize({
    clientId: asked.get('client_id'), scope: asked.get('scope'), redirectUri: '/index.html', pkceMode: 'required',
  })`

const index = `
  FHIR.oauth2.ready().then(
    (client) => { window.client = client; document.documentElement.dataset.app = 'ready' },
    (error) => { document.documentElement.dataset.app = String(error.message) })`

const files: Record<string, [type: string, content: string | Buffer]> = {
  '/launch.html': ['text/html', page(launch)],
  '/index.html': ['text/html', page(index)],
  '/empty.html': ['text/html', page('')],
  '/fhir-client.js': ['text/javascript', library],
}

export async function startBrowserApp(): Promise<BrowserApp> {
  const server = createServer((request, response) => {
    const [type, content] = files[new URL(request.url ?? '', 'http://app').pathname] ?? []
    response.writeHead(type === undefined ? 404 : 200, { 'Content-Type': type ?? 'text/plain' }).end(content)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin,
    redirectUri: `${origin}/index.html`,
    launchUri: ({ client, scope, iss }) =>
      `${origin}/launch.html?${new URLSearchParams({ client_id: client, scope, ...(iss !== undefined && { iss }) })}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
