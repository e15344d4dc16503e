/** koffi as node's module loader finds it; build.mjs puts koffi-embedded.ts in this file's place. */
import koffi from 'koffi'

export { koffi }
