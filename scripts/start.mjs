/**
 * `npm start`: installs and builds what is missing, then serves and says what to try next.
 */
process.argv.splice(2, 0, 'serve', '--hints')
await import('./hospitallink.mjs')
