/** The failure that STATUS throws. */
import { CniError, ErrorCode } from '../../src/cni/error'

/** Containers cannot be connected now: code 50. */
export const notReady = (message: string, details: string) =>
  new CniError(ErrorCode.pluginNotAvailable, `bridge: ${message}`, { details })

/** The same, for whatever keeps a step of ADD from being done. */
export const notReadyAs = (error: unknown): CniError => {
  const { message, details } = CniError.from(error)
  return notReady(message, details)
}

/** Waits for what a kind of rules says of this host. */
export const probed = async (probe: Promise<void>): Promise<void> => {
  try {
    await probe
  } catch (error) {
    throw notReadyAs(error)
  }
}
