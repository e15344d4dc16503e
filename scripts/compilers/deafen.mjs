/**
 * A program compiled by Bun obeys Bun's own environment variables: BUN_OPTIONS="--preload x.js" runs any file in it,
 * BUN_INSPECT opens a port to every client, BUN_BE_BUN=1 makes it Bun. Plugins run as root and read the documented
 * variables only, so these names are made empty in the program: no variable can be called "".
 */
import { readFileSync, writeFileSync } from 'node:fs'

const names = ['BUN_OPTIONS', 'BUN_BE_BUN', 'BUN_INSPECT', 'BUN_INSPECT_CONNECT_TO', 'BUN_INSPECT_PRELOAD']

/** Makes a compiled program deaf to them. Throws if one is not where it was in the Bun that this was written for. */
export const deafen = file => {
  const program = readFileSync(file)
  for (const name of names) {
    const string = Buffer.from(`\0${name}\0`)
    const at = program.indexOf(string)
    if (at < 0 || program.indexOf(string, at + 1) >= 0)
      throw new Error(
        `${file}: "${name}" is not there once: see how this Bun reads it, then scripts/compilers/deafen.mjs`,
      )
    program[at + 1] = 0
  }
  writeFileSync(file, program)
}
