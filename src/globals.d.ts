/** The project's version and the commit it was built from, put in by build.mjs. */
declare const __VERSION__: string
declare const __COMMIT__: string
