/** The bytes of koffi's addon for the architecture that is built for (build.mjs resolves the name). */
declare module 'koffi-addon' {
  const addon: Uint8Array
  export = addon
}
