import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { exec, findProgram } from '../../src/host/exec'
import { warn } from '../../src/host/log'
import { hasLegacyNat, hasNftNatRules } from '../../src/netfilter/iptables-probe'
import { type PortmapConf, readConf } from './config'
import { obstacleToLocalnet } from './localnet'
import { hostPortRules } from './rules'

/** Do both variants of iptables have rules of IPv4 in their table nat? */
const isMixed = async (): Promise<boolean> => {
  const save = findProgram('iptables-legacy-save')
  if (!save || !hasLegacyNat(4) || !hasNftNatRules(4)) return false
  return /^-A /m.test(await exec([save, '-t', 'nat']))
}

const notReady = (what: string, cause: CniError): CniError =>
  new CniError(ErrorCode.pluginNotAvailable, `portmap: ${what}`, {
    details: [cause.message, cause.details].filter(Boolean).join('; '),
  })

/** With "snat" the interface to a container must accept packets from 127.0.0.1. */
const checkLocalnet = ({ snat }: PortmapConf): void => {
  const obstacle = snat ? obstacleToLocalnet() : undefined
  if (obstacle === undefined) return
  throw new CniError(
    ErrorCode.pluginNotAvailable,
    'portmap: net.ipv4.conf.*.route_localnet cannot be set, which "snat" needs',
    { details: `${obstacle}; "snat": false does not need it` },
  )
}

const checkSockets = async ({ hostListeners }: PortmapConf): Promise<void> => {
  if (hostListeners === 'ignore') return
  const { readSockets } = await import('./listeners.js')
  try {
    readSockets(['tcp'])
  } catch (error) {
    throw notReady("the host's sockets cannot be listed", CniError.from(error))
  }
}

/** Can ports be opened now? Throws code 50 with the reason if not; warns of mere risks on stderr. */
export const status = async (call: Call): Promise<void> => {
  const conf = readConf(call)
  try {
    await hostPortRules[conf.backend].probe(conf)
    if (conf.backend === 'iptables' && (await isMixed())) {
      warn(
        'portmap: iptables-legacy and iptables-nft both have NAT rules; programs that use one do not see the rules of the other',
      )
    }
  } catch (error) {
    throw notReady(`the backend ${conf.backend} cannot be used`, CniError.from(error))
  }
  checkLocalnet(conf)
  await checkSockets(conf)
}
