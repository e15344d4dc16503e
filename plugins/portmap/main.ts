import { isAmong } from '../../src/attachment/attachment'
import { validAttachments } from '../../src/cni/conf'
import { CniError, ErrorCode, runAll } from '../../src/cni/error'
import type { Call, Plugin } from '../../src/cni/plugin'
import { specVersions } from '../../src/cni/version'
import { add } from './add'
import { collectClaims, ownerOf, takeDownClaims, udpPortsOf } from './claims'
import { type PortmapConf, readConf, readPortmapConf } from './config'
import { addressesOf, takeDownFlowsOf, takeDownFlowsTo } from './conntrack'
import { listOwners } from './records'
import { goingOf, hostPortRules, takeDownRules, whoseOf, withEveryBackend } from './rules'
import { status } from './status'

/** Throws unless the rules of all mappings are there, naming the first that is not. */
const check = async (call: Call): Promise<void> => {
  const conf = readPortmapConf(call)
  if (!conf.prevResult) throw new CniError(ErrorCode.invalidNetworkConfig, 'Required prevResult missing')
  if (conf.mappings.length === 0) return
  const [missing] = await hostPortRules[conf.backend].missing(conf)
  if (missing) throw new CniError(ErrorCode.internal, missing.message, { details: missing.details })
}

/** Closes the host ports of an attachment: rules, flows, then the claims. */
export const takeDownPorts = async (conf: PortmapConf): Promise<void> => {
  const owner = ownerOf(conf)
  const known = conf.addresses.map(({ addr }) => addr)
  const udpPorts = conf.mappings.filter(({ protocol }) => protocol === 'udp').map(({ hostPort }) => hostPort)
  let hasRules = true
  await runAll([
    async () => {
      await takeDownRules({ id: conf, whose: whoseOf(conf, owner), rules: owner?.rules })
      hasRules = false
    },
    () =>
      takeDownFlowsTo(known.length > 0 ? known : addressesOf(owner), [
        ...udpPorts,
        ...(owner ? udpPortsOf(owner) : []),
      ]),
    // The next owner of a port would get none of its connections while old rules lead elsewhere.
    async () => {
      if (!hasRules) await takeDownClaims(conf)
    },
  ])
}

const del = async (call: Call): Promise<void> => takeDownPorts(readConf(call))

/**
 * Removes the ports of the network's attachments that the runtime does not know. The reference's rules in nftables
 * name no network, so they are left; those in iptables do.
 */
const gc = async (call: Call): Promise<void> => {
  const { network } = readConf(call)
  const valid = validAttachments(call.conf)
  const isValid = isAmong(valid)
  const gone = listOwners().filter(owner => owner.network === network && !isValid(owner))
  let hasStaleRules = true
  await runAll([
    async () => {
      await withEveryBackend(rules => rules.collect({ network, kept: valid, gone: gone.map(goingOf) }))
      hasStaleRules = false
    },
    ...gone.map(owner => () => takeDownFlowsOf(owner)),
    // The next owner of a port would get none of its connections while old rules lead elsewhere.
    async () => {
      if (!hasStaleRules) await runAll(gone.map(owner => () => takeDownClaims(owner)))
    },
    () => collectClaims(),
  ])
}

/** Leads ports of the host to ports of a container: the counterpart of the reference's portmap. */
export const plugin: Plugin = { name: 'portmap', versions: specVersions, add, check, del, gc, status }
