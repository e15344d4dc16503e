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
const parameters = ['module', 'exports', 'require', '__filename', 'performance']

// A function's source is a part of what Node.js has read: no copy, and not what has come under the file's name since.
const source = archive.toString()
const loaded = new Map<string, { exports: object }>()

/** A module's exports: of the archive, or else of Node.js itself. */
const load = (path: string): unknown => {
  const name = path.replace(/^\.\//, '')
  const place = places[name]
  if (!place) return require(path)
  const known = loaded.get(name)
  if (known) return known.exports
  const module = { exports: {} }
  loaded.set(name, module)
  // The end of a comment would end the archive: scripts/compilers/node.mjs has hidden it.
  const code = source.slice(...place).replaceAll('*\x01/', '*/')
  const run = compileFunction(code, parameters, { filename: `${__filename}/${name}` })
  run(module, module.exports, load, __filename, performance)
  return module.exports
}

load('main.js')
