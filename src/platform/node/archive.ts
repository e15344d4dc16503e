/**
 * The beginning of a script that has its modules in a comment at its end, where nothing reads them: a call compiles only
 * those that its verb imports. scripts/compilers/node.mjs puts it and the modules together.
 */

/** The function whose body is the comment; it is declared at the end of the script. */
declare const archive: () => void

/** Where in the source of `archive` each module is. */
declare const places: Readonly<Record<string, readonly [start: number, end: number]>>

const { compileFunction } = require('node:vm') as typeof import('node:vm')

// A clock in the place of Node's own, which loads a dozen modules: milliseconds since the process was started.
const performance = { now: () => process.uptime() * 1000 }
const parameters = ['exports', 'require', '__filename', 'performance']

// A function's source is a part of what Node.js has read: no copy, and not what has come under the file's name since.
const source = archive.toString()
const loaded = new Map<string, object>()

/** A module's exports: of the archive, or else of Node.js itself. */
const load = (name: string): unknown => {
  const place = places[name]
  if (!place) return require(name)
  const known = loaded.get(name)
  if (known) return known
  const exports = {}
  loaded.set(name, exports)
  const run = compileFunction(source.slice(...place), parameters, { filename: `${__filename}/${name}` })
  run(exports, load, __filename, performance)
  return exports
}

load('main.js')
