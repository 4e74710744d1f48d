/**
 * The one stylesheet of the pages, named by its hash so that browsers may keep it for ever.
 *
 * https://www.w3.org/TR/WCAG22/
 *
 * Colours are data, so that a test can compute their contrast. Sizes are in rem and nothing has a fixed width: the pages
 * are read at 320 pixels and at twice the size.
 */
import { createHash } from 'node:crypto'

export const colours = {
  light: {
    ink: '#1c2430',
    paper: '#ffffff',
    quiet: '#4d5866',
    shade: '#f1f4f7',
    line: '#707b88',
    accent: '#0b5394',
    onAccent: '#ffffff',
    alarm: '#a3161b',
    onAlarm: '#ffffff',
    alarmShade: '#fdf0f0',
  },
  dark: {
    ink: '#eef1f5',
    paper: '#14181e',
    quiet: '#b4bdc8',
    shade: '#212831',
    line: '#8b96a3',
    accent: '#8fc3f5',
    onAccent: '#0c1420',
    alarm: '#ff9c9c',
    onAlarm: '#240606',
    alarmShade: '#331a1c',
  },
} as const

/** Foreground on background, and the least contrast WCAG 2.2 AA asks of it: 1.4.3 (text) and 1.4.11 (borders). */
export const pairs: readonly [fore: keyof Palette, back: keyof Palette, least: number][] = [
  ['ink', 'paper', 4.5],
  ['ink', 'shade', 4.5],
  ['ink', 'alarmShade', 4.5],
  ['quiet', 'paper', 4.5],
  ['quiet', 'shade', 4.5],
  ['accent', 'paper', 4.5],
  ['accent', 'shade', 4.5],
  ['onAccent', 'accent', 4.5],
  ['alarm', 'paper', 4.5],
  ['alarm', 'alarmShade', 4.5],
  ['onAlarm', 'alarm', 4.5],
  ['line', 'paper', 3],
  ['line', 'shade', 3],
]

export type Palette = (typeof colours)['light']

const variables = (palette: Record<string, string>): string =>
  Object.entries(palette)
    .map(([name, colour]) => `--${name}:${colour}`)
    .join(';')

export const stylesheet = `:root{color-scheme:light dark;${variables(colours.light)}}
@media (prefers-color-scheme:dark){:root{${variables(colours.dark)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--shade);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
.skip{position:absolute;inset-inline-start:-100vw}
.skip:focus{inset-inline-start:1rem;top:1rem;background:var(--paper);padding:.5rem 1rem}
header,main,footer{max-width:36rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
header{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;justify-content:space-between}
.site{font-weight:600}
.who{background:var(--paper);border:2px solid var(--accent);border-radius:.5rem;padding:.25rem .75rem}
main{background:var(--paper);border-radius:.5rem;padding:1.5rem}
main:focus{outline:none}
@media (max-width:24rem){main{padding:1rem;border-radius:0}}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}
h2{font-size:1.125rem;margin:1.5rem 0 .5rem}
.card h2{margin-top:0}
.card>:last-child{margin-bottom:0}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
p,ul,ol{margin:0 0 1rem}
ul,ol{padding-inline-start:1.5rem}
a{color:var(--accent)}
label,legend{display:block;font-weight:600;margin:0 0 .25rem}
form{margin:0 0 1rem}
fieldset{border:0;padding:0;margin:0 0 1rem}
legend{padding:0}
.field{margin:0 0 1rem}
.hint{color:var(--quiet);margin:0 0 .375rem}
input:not([type=radio],[type=checkbox]){width:100%;min-height:2.75rem;padding:.5rem .75rem;font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);border-radius:.375rem}
input.code{letter-spacing:.3em;font-variant-numeric:tabular-nums}
input[aria-invalid=true]{border:2px solid var(--alarm)}
.choice{display:flex;gap:.75rem;align-items:flex-start;border:1px solid var(--line);border-radius:.375rem;padding:.75rem;margin:0 0 .5rem}
.choice label{font-weight:400;margin:0;flex:1}
.choice strong{display:block}
.choice input{width:1.5rem;height:1.5rem;margin:0;accent-color:var(--accent);flex:none}
button{min-height:2.75rem;padding:.5rem 1.25rem;font:inherit;font-weight:600;border-radius:.375rem;border:2px solid var(--accent);background:var(--accent);color:var(--onAccent);cursor:pointer}
button.second{background:var(--paper);color:var(--accent)}
button.alarm{border-color:var(--alarm);background:var(--alarm);color:var(--onAlarm)}
.buttons{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.5rem 0 1rem}
.inline{display:inline}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.alert{border-inline-start:.375rem solid var(--alarm);background:var(--alarmShade);padding:.75rem 1rem;margin:0 0 1rem}
.note{border-inline-start:.375rem solid var(--accent);background:var(--shade);padding:.75rem 1rem;margin:0 0 1rem}
.card{border:1px solid var(--line);border-radius:.375rem;padding:1rem;margin:0 0 1rem}
.secret{font:1.125rem/1.6 ui-monospace,monospace;background:var(--shade);padding:.75rem 1rem;overflow-wrap:anywhere}
.codes{list-style:none;padding:.75rem 1rem;columns:10rem}
.qr{background:#fff;padding:.5rem;max-width:13rem}
.qr svg{display:block;width:100%;height:auto}
footer{color:var(--quiet)}
footer ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.25rem 1rem}
footer a,footer span{display:inline-block;padding:.25rem 0}
`

/** File name of the stylesheet, below the pages. */
export const stylesheetName = `style-${createHash('sha256').update(stylesheet).digest('base64url').slice(0, 16)}.css`
