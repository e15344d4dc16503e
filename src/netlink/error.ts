import { errnoText } from '../host/errno'
import { isFrom, SystemError } from '../host/system-error'

/** What the operator can do about an errno that means the same wherever it comes from. */
const remedies: Record<string, string> = {
  EPERM: 'run the plugin as root or with CAP_NET_ADMIN in the user namespace that owns the network namespace',
  ENOBUFS: 'the node is short of memory for sockets; try again',
}

/**
 * The kernel's refusal of a netlink request: `op` is what it was to do, with the object it was about, `code` the errno's
 * name. The details are the kernel's extended acknowledgement, if it sent one, the errno's text and the remedy.
 */
export const netlinkError = (op: string, code: string, extendedAck = ''): SystemError =>
  new SystemError('netlink', {
    message: `${op}: ${code}`,
    code,
    details: [extendedAck, errnoText(code), remedies[code]].filter(Boolean).join('; '),
  })

/** Runs `work` and turns a refusal with one of the errnos named into undefined: "already so" is no failure. */
export const unlessRefused = <T>(codes: readonly string[], work: () => T): T | undefined => {
  try {
    return work()
  } catch (error) {
    if (isFrom(error, 'netlink', ...codes)) return undefined
    throw error
  }
}
