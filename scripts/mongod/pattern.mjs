/**
 * Regular expressions of queries. They are Perl's in MongoDB; only what means the same in JavaScript is run.
 *
 * https://www.mongodb.com/docs/manual/reference/operator/query/regex/
 */
import { refuse, unsupported } from './errors.mjs'

/** Syntax that Perl knows and JavaScript reads otherwise. */
const PERL_ONLY = /\(\?[#>imsx|R&P+-]|\\[AzZGQEKXhHRC]|\[\[:|[*+?}]\+|\(\*/

/**
 * @param {string} pattern
 * @param {string} options
 * @returns {{ test: (text: string) => boolean, prefix: string | undefined, flags: string }} `prefix` is what every match
 *   begins with, where an index can use it
 */
export function patternOf(pattern, options) {
  if (options.includes('x')) unsupported('the option x of regular expressions')
  if (PERL_ONLY.test(pattern)) unsupported(`this syntax in a regular expression: ${pattern}`)
  // Unknown letters were ignored by the recorded server.
  const flags = [...new Set(options)]
    .filter((flag) => 'ims'.includes(flag))
    .sort()
    .join('')
  let regex
  try {
    regex = new RegExp(pattern, `${flags}u`)
  } catch {
    try {
      regex = new RegExp(pattern, flags)
    } catch (error) {
      refuse(51091, `Regular expression is invalid: ${error instanceof Error ? error.message : ''}`)
    }
  }
  const literal = /^\^([^\\^$.|?*+()[\]{}]*)/.exec(pattern)
  const next = literal ? pattern[literal[0].length] : undefined
  const optional = next === '?' || next === '*' || next === '{' || next === '|'
  const usable = literal && flags === '' && !optional && !pattern.includes('|') && literal[1] !== ''
  return {
    test: (text) => regex.test(text),
    prefix: usable ? literal[1] : undefined,
    flags,
  }
}
