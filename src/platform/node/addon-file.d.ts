/** The bytes of the addon for the architecture that is built for (build.mjs resolves the name). */
declare module 'addon-file' {
  const file: Uint8Array
  export = file
}
