import { expect, test } from '@jest/globals'
import { colours, pairs, stylesheet } from './style.js'

/** https://www.w3.org/TR/WCAG22/#dfn-relative-luminance */
function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
}

function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (light! + 0.05) / (dark! + 0.05)
}

test('black on white is 21 to 1', () => expect(contrast('#000000', '#ffffff')).toBeCloseTo(21))

const rows = Object.entries(colours).flatMap(([name, palette]) =>
  pairs.map(([fore, back, least]) => [name, fore, back, least, contrast(palette[fore], palette[back])] as const),
)

test.each(rows)('%s: %s on %s has a contrast of at least %d', (_name, _fore, _back, least, found) =>
  expect(found).toBeGreaterThanOrEqual(least),
)

test('the stylesheet asks for nothing from elsewhere', () => expect(stylesheet).not.toMatch(/url\(|@import/))
