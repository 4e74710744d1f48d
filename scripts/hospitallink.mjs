#!/usr/bin/env node
/**
 * The command `hospitallink`: makes sure that there is a build, then runs it.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkNode, ensureBuild, ensurePackages, root } from './prepare.mjs'

checkNode()
ensurePackages()
ensureBuild()
await import(pathToFileURL(join(root, 'dist', 'main.js')).href)
