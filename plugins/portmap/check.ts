import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { readPortmapConf } from './config'
import { hostPortRules } from './rules'

/** Throws unless the rules of all mappings are there, naming the first that is not. */
export const check = async (call: Call): Promise<void> => {
  const conf = readPortmapConf(call)
  if (!conf.prevResult) throw new CniError(ErrorCode.invalidNetworkConfig, 'Required prevResult missing')
  if (conf.mappings.length === 0) return
  const [missing] = await hostPortRules[conf.backend].missing(conf)
  if (missing) throw new CniError(ErrorCode.internal, missing.message, { details: missing.details })
}
