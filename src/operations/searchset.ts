/**
 * A Bundle of type searchset, written while its pages are read.
 *
 * https://hl7.org/fhir/R4/bundle.html#searchset
 */
import { bundleHead, join, type Link, type Piece, searchEntry } from '../interactions/index.js'
import type { Match } from '../store/index.js'

/** The total of the matches stands at the end, where it is known. */
export async function* searchset(
  pages: AsyncIterable<Match[]>,
  { links, baseUrl }: { links: Link[]; baseUrl: string },
): AsyncGenerator<Buffer> {
  let separator = `${bundleHead({ type: 'searchset', links })},"entry":[`
  const empty = separator
  let total = 0
  for await (const matches of pages) {
    const pieces: Piece[] = []
    for (const match of matches) {
      pieces.push(separator, ...searchEntry(match, baseUrl))
      separator = ','
      if (match.mode === 'match') total++
    }
    if (pieces.length) yield join(pieces)
  }
  yield Buffer.from(separator === empty ? `${bundleHead({ type: 'searchset', links, total })}}` : `],"total":${total}}`)
}
