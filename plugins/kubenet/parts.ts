/**
 * The configurations kubenet gives the plugins it is made of, as a runtime would if they were a list: what kubelet
 * did when it started bridge, host-local and loopback itself.
 */

import { asPrevResult, type Call, type Plugin, prevResultOf } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import type { JsonObject } from '../../src/cni/schema'
import { currentVersion } from '../../src/cni/version'
import { everywhere, formatCidr } from '../../src/ip/cidr'
import { masquerades } from '../../src/netfilter/rules/pods/pods'
import { plugin as bandwidth } from '../bandwidth/main'
import { plugin as bridge } from '../bridge/main'
import { plugin as hostLocal } from '../host-local/main'
import { plugin as loopback } from '../loopback/main'
import { plugin as portmap } from '../portmap/main'
import type { KubenetConf } from './config'

/** The plugins kubenet is made of. */
export const parts = { loopback, bridge, portmap, bandwidth } satisfies Record<string, Plugin>

/** Looked for here before CNI_PATH: kubenet is whole by itself. */
const embedded = new Map([['host-local', async () => hostLocal]])

/** What a runtime put into the configuration and every part may need, and what portmap knows to read. */
const passedOn = [
  'runtimeConfig',
  'args',
  'dns',
  'hostListeners',
  'cni.dev/valid-attachments',
  'cni.dev/attachments',
]

const inherited = (raw: JsonObject): JsonObject => {
  const found = Object.entries(raw).filter(([key]) =>
    passedOn.some(name => name.toLowerCase() === key.toLowerCase()),
  )
  return Object.fromEntries(found)
}

/** The result of the runtime in the newest version; one that cannot be read is left to who needs it. */
const translated = (call: Call): unknown => {
  try {
    const result = prevResultOf(call)
    return result && asPrevResult(result, currentVersion)
  } catch {
    return call.conf.prevResult
  }
}

/** The call in the version that all parts talk, the newest: each verb has the runtime's result translated once. */
export const inNewestVersion = (call: Call): Call => ({
  ...call,
  conf: { ...call.conf, cniVersion: currentVersion, prevResult: translated(call) },
  version: currentVersion,
})

/**
 * The call as one part sees it: kubenet's own (`inNewestVersion`), with the part's configuration. Parts talk in the newest version
 * whatever the runtime's is, so that kubenet speaks those too that have no word for an interface.
 */
export const callOf = (call: Call, own: JsonObject, prevResult?: Result): Call => {
  const { name } = call.conf
  const passed = prevResult ? asPrevResult(prevResult, currentVersion) : call.conf.prevResult
  const raw = {
    cniVersion: currentVersion,
    name,
    ...inherited(call.raw),
    ...own,
    ...(passed !== undefined && { prevResult: passed }),
  }
  const conf = { ...call.conf, cniVersion: currentVersion, prevResult: passed }
  return { ...call, raw, stdin: JSON.stringify(raw), conf, version: currentVersion, embedded }
}

const defaultRoutes = ({ runtimeRanges, podCIDRs }: KubenetConf) => {
  const ranges = runtimeRanges.length > 0 ? runtimeRanges : podCIDRs
  const families = new Set(ranges.map(({ addr }) => addr.family))
  return [...families].map(family => ({ dst: formatCidr(everywhere(family)) }))
}

/** The configuration of bridge with host-local; with `masquerade`, bridge masquerades by iptables. */
export const bridgeConf = (conf: KubenetConf, { masquerade }: { masquerade: boolean }): JsonObject => ({
  type: 'bridge',
  bridge: conf.bridge,
  mtu: conf.mtu ?? 0,
  mtuOverhead: conf.mtuOverhead,
  // What kubelet's kubenet took where it found no interface, as every path of its clouds let that pass.
  mtuFallback: 1460,
  isGateway: true,
  hairpinMode: conf.hairpinMode,
  keepAddresses: true,
  bridgeNetfilter: 'auto',
  ipMasq: masquerade && ([4, 6] as const).some(family => masquerades(conf, family)),
  ...(masquerade && { ipMasqBackend: 'iptables', nonMasqueradeCIDRs: conf.nonMasquerade.map(formatCidr) }),
  ipam: {
    type: 'host-local',
    // host-local finds those of the runtime by itself, and would add these to them.
    ranges: conf.runtimeRanges.length > 0 ? [] : conf.podCIDRs.map(range => [{ subnet: formatCidr(range) }]),
    routes: defaultRoutes(conf),
    ...(conf.dataDir !== undefined && { dataDir: conf.dataDir }),
  },
})
