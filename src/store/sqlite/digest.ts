/** A short fingerprint of a text, to see whether it changed (never to look it up by). FNV-1a over UTF-16, 2 x 24 bits. */
export function digest(text: string): number {
  let a = 0x811c9dc5
  let b = 0x1b873593
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b)
  }
  return (a >>> 8) * 0x1000000 + (b >>> 8)
}
