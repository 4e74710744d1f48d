/**
 * What a prefix asks of recorded intervals, as bounds the index has.
 *
 * https://hl7.org/fhir/R4/search.html#prefix
 *
 * The index is in the order of upper ends within a series, because most people ask for the newest.
 */
import type { Prefix } from '../../search/index.js'
import type { Filter } from './filter.js'

type Asked = { prefix: Prefix; lo: number; hi: number }

export function bounds({ prefix, lo, hi }: Asked): Filter {
  switch (prefix) {
    case 'eq':
      return { hi: { $gte: lo, $lte: hi }, lo: { $gte: lo } }
    case 'ne':
      return { $or: [{ lo: { $lt: lo } }, { hi: { $gt: hi } }] }
    case 'gt':
      return { hi: { $gt: hi } }
    case 'lt':
      return { lo: { $lt: lo } }
    case 'ge':
      return { hi: { $gte: Math.min(lo, hi) }, $or: [{ hi: { $gt: hi } }, { hi: { $lte: hi }, lo: { $gte: lo } }] }
    case 'le':
      return { $or: [{ lo: { $lt: lo } }, { hi: { $lte: hi }, lo: { $gte: lo } }] }
    case 'sa':
      return { hi: { $gt: hi }, lo: { $gt: hi } }
    case 'eb':
      return { hi: { $lt: lo } }
    case 'ap':
      return { hi: { $gte: lo }, lo: { $lte: hi } }
  }
}

/** The same of one moment that is a member of its own. */
export function momentBounds({ prefix, lo, hi }: Asked): Filter {
  const within = { lu: { $gte: lo, $lte: hi } }
  switch (prefix) {
    case 'eq':
      return within
    case 'ne':
      return { $or: [{ lu: { $lt: lo } }, { lu: { $gt: hi } }] }
    case 'gt':
    case 'sa':
      return { lu: { $gt: hi } }
    case 'lt':
    case 'eb':
      return { lu: { $lt: lo } }
    case 'ge':
      return lo <= hi ? { lu: { $gte: lo } } : { $or: [{ lu: { $gt: hi } }, within] }
    case 'le':
      return lo <= hi ? { lu: { $lte: hi } } : { $or: [{ lu: { $lt: lo } }, within] }
    case 'ap':
      return { lu: { $gte: lo, $lte: hi } }
  }
}
