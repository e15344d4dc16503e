import { CniError } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { type PortmapConf, readPortmapConf } from './config'

/** Reads the configuration for all verbs but CHECK, which say so in front of what is wrong with it. */
export const readConf = (call: Call): PortmapConf => {
  try {
    return readPortmapConf(call)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    throw new CniError(error.code, `failed to parse config: ${error.message}`, { details: error.details })
  }
}
