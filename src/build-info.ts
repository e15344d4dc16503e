/** The values that build.mjs puts in the place of these two names. */
declare const __VERSION__: string
declare const __COMMIT__: string

/** The version and commit this program was built from. */
export const version = typeof __VERSION__ === 'undefined' ? '0.0.0-source' : __VERSION__
export const commit = typeof __COMMIT__ === 'undefined' ? 'source' : __COMMIT__
