import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { exec, findProgram } from '../../src/host/exec'
import { warn } from '../../src/host/log'
import { hasLegacyNat, hasNftNatRules } from '../../src/netfilter/iptables-probe'
import { forBackend } from './backend'
import { readConf } from './read-conf'

/** Do both variants of iptables have rules of IPv4 in their table nat? */
const isMixed = async (): Promise<boolean> => {
  const save = findProgram('iptables-legacy-save')
  if (!save || !hasLegacyNat(4) || !hasNftNatRules(4)) return false
  return /^-A /m.test(await exec([save, '-t', 'nat']))
}

/** Can ports be opened now? Throws code 50 with the reason if not; what only may go wrong is said on stderr. */
export const status = async (call: Call): Promise<void> => {
  const conf = readConf(call)
  try {
    await forBackend(conf.backend).probe(conf)
    if (conf.backend === 'iptables' && (await isMixed())) {
      warn(
        'portmap: iptables-legacy and iptables-nft both have NAT rules; programs that use one never see the other',
      )
    }
  } catch (error) {
    const cause = CniError.from(error)
    throw new CniError(ErrorCode.pluginNotAvailable, `portmap: the backend ${conf.backend} can not be used`, {
      details: [cause.message, cause.details].filter(Boolean).join('; '),
    })
  }
}
