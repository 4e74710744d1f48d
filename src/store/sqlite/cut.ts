/** Texts sort by their first 64 code points: `sortKeyOf` of search/sort-key.ts says so for every store. */
import { sortKeyOf } from '../../search/index.js'

export const cut = (text: string): string => String(sortKeyOf({ kind: 'uri', param: '', value: text }, false))
