import { describe, expect, test } from '@jest/globals'
import { narrativeProblem } from './narrative.js'

const div = (inner: string): string => `<div xmlns="http://www.w3.org/1999/xhtml">${inner}</div>`

describe('a narrative may hold', () => {
  test.each([
    ['text', 'Peter &amp; Ann &lt; 3 &#160;&#xe9;'],
    ['formatting', '<p><b>bold</b><br/><i>i</i> <em class="x">e</em></p>'],
    [
      'tables',
      '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td colspan="2" style="color: red">1</td></tr></tbody></table>',
    ],
    ['links', '<a href="https://example.org">x</a><a href="#top">t</a><a name="top"/><a href="data.html">y</a>'],
    ['backgrounds of its own', '<p style="background: url(data: image/png;base64,iVBORw0KGgo=)">x</p>'],
    ['images of its own', '<img src="data:image/png;base64,iVBORw0KGgo=" alt="chart"/>'],
    ['languages', '<p lang="fr" xml:lang="fr">bonjour</p>'],
    ['comments', '<!-- a comment -->x'],
    [']]> where it ends nothing', '<p title="]]>">a ]]&gt; b</p><!-- ]]> -->'],
    ['a namespace said twice', '<p xmlns="http://www.w3.org/1999/xhtml">x</p>'],
    ['apostrophes around attributes', '<p title=\'it is "so"\'>x</p>'],
    ['void elements written out', 'x<br></br>'],
    ['address, bdo and kbd', '<address>a</address><bdo dir="rtl">b</bdo><kbd>c</kbd>'],
  ])('%s', (_, inner) => expect(narrativeProblem(div(inner))).toBeUndefined())
  test('white space around the div', () => expect(narrativeProblem(`\n${div('x')}\n`)).toBeUndefined())
})

describe('a narrative may not', () => {
  test.each([
    ['be plain text', 'hello'],
    ['be empty', ''],
    ['have another root', '<p xmlns="http://www.w3.org/1999/xhtml">x</p>'],
    ['have no namespace', '<div>x</div>'],
    ['have another namespace', '<div xmlns="http://hl7.org/fhir">x</div>'],
    ['have two roots', div('x') + div('y')],
    ['have text beside the root', `x${div('y')}`],
    ['have text after the root', `${div('y')} z`],
    ['say nothing', div(' <p> </p> ')],
    ['say nothing with a root that closes itself', '<div xmlns="http://www.w3.org/1999/xhtml"/>'],
    ['end a CDATA section that never began', div('a ]]> b')],
    ['hold U+FFFE', div('a\ufffeb')],
    ['hold U+FFFF', div('<p title="\uffff">x</p>')],
    ['leave tags open', '<div xmlns="http://www.w3.org/1999/xhtml"><p>x</div>'],
    ['never close its root', '<div xmlns="http://www.w3.org/1999/xhtml">x'],
    ['end inside a tag', '<div xmlns="http://www.w3.org/1999/xhtml">x<p'],
    ['close what is not open', div('x</p>')],
    ['leave quotes out', div('<p class=a>x</p>')],
    ['repeat an attribute', div('<p class="a" class="b">x</p>')],
    ['use names of HTML for characters', div('a&nbsp;b')],
    ['hold a bare ampersand', div('a & b')],
    ['hold a bare <', div('a < b')],
    ['name characters XML does not have', div('a&#0;b')],
    ['name half a surrogate pair', div('a&#xd800;b')],
    ['hold control characters', div('a\u0001b')],
    ['hold a script', div('<script>alert(1)</script>')],
    ['hold a script in capitals', div('<SCRIPT>alert(1)</SCRIPT>')],
    ['hold a form', div('<form action="https://example.org"><input/></form>')],
    ['hold an iframe', div('<iframe src="https://example.org"/>')],
    ['hold an object', div('<object data="x"/>')],
    ['hold a head', div('<head/>x')],
    ['hold a link to a stylesheet', div('<link rel="stylesheet" href="https://example.org/x.css"/>x')],
    ['hold svg', div('<svg onload="alert(1)"/>')],
    ['listen to events', div('<p onclick="alert(1)">x</p>')],
    ['listen to errors', div('<img src="x" onerror="alert(1)"/>')],
    ['run a link', div('<a href="javascript:alert(1)">x</a>')],
    ['run a link in disguise', div('<a href=" jAva&#115;cript&#58;alert(1)">x</a>')],
    ['run a link with a tab inside', div('<a href="java&#9;script:alert(1)">x</a>')],
    ['link to data', div('<a href="data:text/html,&lt;script&gt;">x</a>')],
    ['show data that is no image', div('<img src="data:text/html,x"/>')],
    ['load by a style', div('<p style="background: url( https://example.org/seen )">x</p>')],
    ['load by a style in quotes', div('<p style="background: URL(&quot;//example.org/seen&quot;)">x</p>')],
    ['run a style', div('<p style="width: expression(alert(1))">x</p>')],
    ['run a style in disguise', div('<p style="width: exp/**/ression(alert(1))">x</p>')],
    ['escape inside a style', div('<p style="width: \\65xpression(1)">x</p>')],
    ['hold a CDATA section', div('<![CDATA[<script>alert(1)</script>]]>')],
    ['hold an instruction', div('<?php x?>x')],
    ['declare a document type', `<!DOCTYPE div [<!ENTITY a "b">]>${div('x')}`],
    ['hold a comment that HTML ends early', div('<!--><script>alert(1)</script>-->x')],
    ['hold another such comment', div('<!-->x--!><script>-->x')],
    ['hold a comment with --', div('<!-- a -- b -->x')],
    ['use a prefix', div('<x:script xmlns:x="http://www.w3.org/1999/xhtml">x</x:script>')],
  ])('%s', (_, text) => expect(narrativeProblem(text)).toEqual(expect.any(String)))
})

test('what is reported quotes nothing but names of markup', () => {
  expect(narrativeProblem(div('<script>x</script>'))).toContain('"script"')
  expect(narrativeProblem(div('<peter-chalmers-mrn-12345>x</peter>'))).not.toContain('peter')
})

test('a long narrative takes no longer than its length', () => {
  const start = performance.now()
  expect(narrativeProblem(div('<p class="a">text &amp; more</p>'.repeat(50_000)))).toBeUndefined()
  expect(narrativeProblem(div(`<p${' '.repeat(100_000)}`))).toBeDefined()
  expect(narrativeProblem(div('<!--'.repeat(50_000)))).toBeDefined()
  expect(narrativeProblem('<div>'.repeat(200_000))).toBeDefined()
  expect(performance.now() - start).toBeLessThan(5000)
})
