/**
 * The page at the root of the server: what this is and where to go, for a person with a browser.
 */
const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => escapes[character]!)

export function frontPage(baseUrl: string): string {
  const base = escaped(baseUrl)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hospitallink</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }</style>
<h1>hospitallink</h1>
<p>A FHIR R4 server. Its base is <a href="${base}/metadata">${base}</a>.</p>
<ul>
<li><a href="${base}/metadata">What it can do</a> (CapabilityStatement)</li>
<li><a href="${base}/Patient">Patients</a></li>
<li><a href="/health">Is it well?</a> and <a href="/metrics">its metrics</a></li>
</ul>
</html>
`
}
