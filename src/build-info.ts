/** The version and commit this program was built from; build.mjs replaces the two names. */
export const version = typeof __VERSION__ === 'undefined' ? '0.0.0-source' : __VERSION__
export const commit = typeof __COMMIT__ === 'undefined' ? 'source' : __COMMIT__
