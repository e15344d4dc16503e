/** Where to listen; the host is "" for all addresses. */
export type ListenAddress = { readonly host: string; readonly port: number }

/** Reads "127.0.0.1:10107", "[::1]:10107" or ":10107"; undefined for anything else. */
export const parseListenAddress = (text: string): ListenAddress | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535) return undefined
  return { host: match[1] ?? match[2] ?? '', port }
}
