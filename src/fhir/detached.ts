/**
 * A copy of a text that stands alone.
 *
 * A part of a string is a view of the whole in V8, so a memory of small texts (codes, systems, type names) would keep
 * every body they came from: megabytes of records for a few bytes. Whatever outlives its request is detached first.
 */
export const detached = (text: string): string => Buffer.from(text).toString()
