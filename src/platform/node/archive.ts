/**
 * The beginning of a script that has its modules in a comment at its end, where nothing reads them: a call compiles only
 * those that its verb imports. scripts/compilers/node.mjs puts it and the modules together.
 */

/** The function whose body is the comment; it is declared at the end of the script. */
declare const archive: () => void

/** Where in the source of `archive` each module is. */
declare const places: Readonly<Record<string, readonly [start: number, end: number]>>

const { compileFunction } = require('node:vm') as typeof import('node:vm')

const parameters = ['exports', 'require', 'module', '__filename']

// A function's source is a part of what Node.js has read: no copy, and not what has come under the file's name since.
const source = archive.toString()
const loaded = new Map<string, { exports: unknown }>()

/** A module's exports: of the archive, or else of Node.js itself. */
const load = (name: string): unknown => {
  const place = places[name]
  if (!place) return require(name)
  const known = loaded.get(name)
  if (known) return known.exports
  const module = { exports: {} }
  loaded.set(name, module)
  const run = compileFunction(source.slice(...place), parameters, { filename: `${__filename}/${name}` })
  run(module.exports, load, module, __filename)
  return module.exports
}

load('main.js')
