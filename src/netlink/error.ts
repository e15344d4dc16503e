import { errnoText } from '../host/errno'

/** The kernel refused a netlink request. */
export class NetlinkError extends Error {
  /** The errno's name, such as "EEXIST"; compare this, never the message. */
  readonly code: string
  /** What the request was to do, with the object it was about. */
  readonly op: string
  /** The kernel's own words: its extended acknowledgement if it sent one, and the errno's text. */
  readonly details: string

  constructor(op: string, code: string, extendedAck = '') {
    super(`${op}: ${code}`)
    this.op = op
    this.code = code
    this.details = [extendedAck, errnoText(code), remedies[code]].filter(Boolean).join('; ')
  }
}

/** What the operator can do about an errno that means the same wherever it comes from. */
const remedies: Record<string, string> = {
  EPERM: 'run the plugin as root or with CAP_NET_ADMIN in the user namespace that owns the network namespace',
  ENOBUFS: 'the node is short of memory for sockets; try again',
}

/** Runs `work` and turns a refusal with one of the errnos named into undefined: "already so" is no failure. */
export const unlessRefused = <T>(codes: readonly string[], work: () => T): T | undefined => {
  try {
    return work()
  } catch (error) {
    if (error instanceof NetlinkError && codes.includes(error.code)) return undefined
    throw error
  }
}
