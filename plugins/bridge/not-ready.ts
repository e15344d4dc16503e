/** What STATUS throws. */
import { CniError, ErrorCode } from '../../src/cni/error'

/** Containers can't be connected now: code 50. */
export const notReady = (message: string, details: string) =>
  new CniError(ErrorCode.pluginNotAvailable, `bridge: ${message}`, { details })

/** What an error says, with the words of the program or the kernel behind it. */
export const saidBy = (error: unknown): string => {
  const { message, details } = CniError.from(error)
  return [message, details].filter(Boolean).join('; ')
}
