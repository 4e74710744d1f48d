/**
 * Debian's Chromium, for tests of what only a real browser does.
 *
 * https://playwright.dev/docs/api/class-browsertype#browser-type-launch
 */
import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe } from '@jest/globals'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

export const chromiumPath = ['chromium', 'chromium-browser'].map(pathOf).find(Boolean)

function pathOf(name: string): string {
  try {
    return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()
  } catch {
    return ''
  }
}

const chromiumArguments = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Tests that are left out, and say why, where there is no Chromium on the PATH. */
export const inChromium = (title: string, tests: () => void): void =>
  chromiumPath
    ? describe(`${title}, in Chromium`, tests)
    : describe.skip(`${title}, in Chromium (none on the PATH)`, tests)

/** One browser for the tests of a file; each call of what comes back is another person's device. */
export function chromiumOfTests(): (options?: BrowserContextOptions) => Promise<Page> {
  let browser: Browser | undefined
  beforeAll(async () => {
    if (chromiumPath) browser = await chromium.launch({ executablePath: chromiumPath, args: chromiumArguments })
  }, 60_000)
  afterAll(() => browser?.close())
  return async (options = {}) => {
    const page = await (await browser!.newContext(options)).newPage()
    page.setDefaultTimeout(10_000)
    return page
  }
}
