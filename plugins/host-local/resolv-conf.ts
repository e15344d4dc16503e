import { CniError, type CniErrorOptions, ErrorCode } from '../../src/cni/error'
import type { Dns } from '../../src/cni/result'
import { readPlainFile } from '../../src/host/plain-file'

/**
 * Reads the `dns` of a result from a file in the form of resolv.conf(5): `search` and `options` add up over lines,
 * of several `domain` lines the last counts. Fields with nothing in them are left out.
 */
export const parseResolvConf = (text: string): Dns => {
  const nameservers: string[] = []
  const search: string[] = []
  const options: string[] = []
  let domain: string | undefined
  for (const line of text.split('\n')) {
    const [keyword = '', ...values] = line.trim().split(/\s+/)
    const [first] = values
    if (first === undefined || /^[#;]/.test(keyword)) continue
    if (keyword === 'nameserver') nameservers.push(first)
    else if (keyword === 'domain') domain = first
    else if (keyword === 'search') search.push(...values)
    else if (keyword === 'options') options.push(...values)
  }
  return {
    ...(nameservers.length > 0 && { nameservers }),
    ...(domain !== undefined && { domain }),
    ...(search.length > 0 && { search }),
    ...(options.length > 0 && { options }),
  }
}

/** Reads the file at `path`, through links: /etc/resolv.conf is often one. Throws code 5 if it cannot be read. */
export const readResolvConf = (path: string): Dns => {
  const failure = (options: CniErrorOptions) =>
    new CniError(ErrorCode.ioFailure, `read resolvConf "${path}"`, options)
  let text: string | undefined
  try {
    text = readPlainFile(path, { followLinks: true })
  } catch (cause) {
    throw failure({ cause })
  }
  if (text === undefined) throw failure({ details: 'ENOENT: no such file or directory' })
  return parseResolvConf(text)
}
