import { expect, test } from '@jest/globals'
import { html } from './html.js'

test.each(['<script>', '"><img src=x>', "' onload='x", '&lt;'])('%s is text in a template', (nasty) => {
  expect(html`<p title="${nasty}">${nasty}</p>`.text).not.toMatch(/<script|<img|' onload|&lt;p/)
  expect(
    html`<p>${nasty}</p>`.text
      .replace(/&#39;/g, "'")
      .replace(/&quot;/g, '"')
      .replace(/&lt;/g, '<')
      .replace(/&gt;/g, '>')
      .replace(/&amp;/g, '&'),
  ).toBe(`<p>${nasty}</p>`)
})

test('templates nest, lists join, and nothing comes of false', () => {
  expect(html`${[html`<b>1</b>`, ' & ', 2]}${false}${undefined}`.text).toBe('<b>1</b> &amp; 2')
})
