/**
 * Runs a program of test/fixtures, with its arguments, in this process:
 *   node scripts/run-fixture.mjs test/fixtures/cluster/demo.ts --nodes 4
 */
import { createRequire } from 'node:module'
import { compile } from './compile-tests.mjs'

const [file] = process.argv.splice(2, 1)
if (file === undefined) throw new Error('scripts/run-fixture.mjs: name a file')
const [{ program }] = await compile([file])
createRequire(import.meta.url)(program)
