/** The text of the file "foreign": a line "<key> <address> …" for each attachment whose leases the reference made. */

const lineOf = (text: string, key: string): string | undefined => {
  // No address looks like a key, so that a search finds nothing but the beginning of a line.
  const start = text.indexOf(key)
  return start < 0 ? undefined : text.slice(start, text.indexOf('\n', start) + 1)
}

export const formatForeign = (
  attachments: readonly { readonly key: string; readonly addresses: readonly string[] }[],
): string => attachments.map(({ key, addresses }) => `${key} ${addresses.join(' ')}\n`).join('')

/** The addresses of an attachment; none if the text does not have it. */
export const foreignAddresses = (text: string, key: string): string[] =>
  (lineOf(text, key) ?? '').trimEnd().split(' ').slice(1)

/** The text without an attachment. */
export const withoutForeign = (text: string, key: string): string => text.replace(lineOf(text, key) ?? '', '')
