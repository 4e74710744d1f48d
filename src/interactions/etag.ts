/**
 * Versions as entity tags: `W/"3"`.
 *
 * https://hl7.org/fhir/R4/http.html#versioning
 */
export const etag = (version: number): string => `W/"${version}"`

/**
 * The versions an If-Match or If-None-Match names; `*` is any. A tag we never made names no version, so that it
 * matches nothing instead of being an error of syntax.
 */
export function versionsIn(header: string): number[] | '*' {
  if (header.trim() === '*') return '*'
  return header.split(',').flatMap((tag) => {
    const version = /^\s*(?:W\/)?"?([1-9]\d{0,14})"?\s*$/.exec(tag)?.[1]
    return version === undefined ? [] : [Number(version)]
  })
}
