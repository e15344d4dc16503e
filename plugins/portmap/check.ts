import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { forBackend } from '../../src/netfilter/rules/hostports/hostports'
import { readPortmapConf } from './config'

/** Throws unless the rules of all mappings are there. */
export const check = async (call: Call): Promise<void> => {
  const conf = readPortmapConf(call)
  if (!conf.prevResult) throw new CniError(ErrorCode.invalidNetworkConfig, 'Required prevResult missing')
  if (conf.mappings.length > 0) await forBackend(conf.backend).check(conf)
}
