/** Modules that TypeScript cannot find by itself: Bun's own, and what the build makes. */

/** The part of Bun's foreign function interface that src/platform/bun.ts uses. */
declare module 'bun:ffi' {
  type FfiType = 'i32' | 'u32' | 'i64' | 'u64' | 'ptr'
  export function dlopen(
    path: string,
    symbols: Record<string, { args: readonly FfiType[]; returns: FfiType }>,
  ): { symbols: Record<string, (...args: (number | bigint | Uint8Array)[]) => number | bigint> }
  export const read: { i32(address: number, offset?: number): number }
}

/** The bytes of the addon for the architecture that is built for (build.mjs resolves the name). */
declare module 'addon-file' {
  const file: Uint8Array
  export = file
}
