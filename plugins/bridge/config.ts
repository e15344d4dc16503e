import * as v from 'valibot'
import { defaultVethPrefix } from '../../src/attachment/interfaces'
import { readCniArgs } from '../../src/cni/args'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, isRemoval } from '../../src/cni/plugin'
import type { Dns } from '../../src/cni/result'
import { cidr, extension, integer, type JsonObject, parseBySchema } from '../../src/cni/schema'
import { type Cidr, networkOf } from '../../src/ip/cidr'
import { unnamedBridge } from './bridge-name'
import { kernelMtu } from './mtu'
import { trunkVlans, vlanTrunkSchema } from './vlan-trunk'

const ipv6Modes = ['auto', 'on', 'off'] as const
const bridgeNetfilterModes = ['off', 'auto', 'require'] as const

/** kubenet's names for what the two booleans of the reference say together. */
const hairpinModes = ['hairpin-veth', 'promiscuous-bridge', 'none'] as const

const flag = (text: string) => v.optional(v.pipe(v.boolean(), v.description(text)))

const macAddress = () =>
  v.optional(v.pipe(v.string(), v.description('MAC address of the container’s interface')))

/** The keys of the bridge plugin beside the common ones. */
export const bridgeSchema = v.object({
  ipam: v.optional(v.object({ type: v.optional(v.string()) })),
  bridge: v.optional(
    v.pipe(
      v.string(),
      v.description('Name of the bridge, made if missing; default cbr0, or cni0 where the network is on it'),
    ),
  ),
  mtu: v.optional(
    v.pipe(
      v.union([
        v.pipe(v.number(), v.integer(), v.metadata({ minimum: 0, maximum: 65535 })),
        v.literal('auto'),
      ]),
      v.description(
        'MTU of the veth pair and the bridge; 0 or absent: the smallest of the host’s interfaces that can ' +
          'carry pods’ traffic; "auto": of those that its default routes lead over',
      ),
    ),
  ),
  mtuOverhead: extension(
    v.optional(
      v.pipe(
        integer(0, 1500),
        v.description('Bytes of a packet that a tunnel needs; subtracted from an automatic MTU'),
      ),
    ),
  ),
  mtuFallback: extension(
    v.optional(
      v.pipe(integer(68, 65535), v.description('MTU if no interface of the host gives one; default 1500')),
    ),
  ),
  isGateway: flag('Give the bridge the gateway addresses and turn forwarding on'),
  isDefaultGateway: flag('As isGateway, and give the container default routes over them'),
  forceAddress: flag('Replace a conflicting address of the bridge'),
  keepAddresses: extension(
    v.optional(
      v.pipe(
        v.union([v.boolean(), v.literal('while-used')]),
        v.description(
          'Keep other addresses of the bridge beside the gateways; "while-used": only while ' +
            'the bridge has other containers, else replace them',
        ),
      ),
    ),
  ),
  ipMasq: flag('Masquerade packets from the container’s addresses to outside of their subnets'),
  dropInvalid: extension(
    flag('With ipMasq: drop packets of no connection, which would leave without being masqueraded'),
  ),
  ipMasqBackend: v.optional(
    v.pipe(v.string(), v.description('"iptables" or "nftables"; default: iptables where it works')),
  ),
  nonMasqueradeCIDRs: extension(
    v.optional(v.pipe(v.array(cidr), v.description('Networks to which traffic is never masqueraded'))),
  ),
  hairpinMode: v.optional(
    v.pipe(
      v.union([v.boolean(), v.picklist(hairpinModes)]),
      v.description('Let a container reach itself over the bridge; or kubenet’s name of a mode'),
    ),
  ),
  promiscMode: flag('Put the bridge into promiscuous mode'),
  vlan: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.metadata({ minimum: 0, maximum: 4094 }),
      v.description('VLAN the port is in, untagged; 0: none'),
    ),
  ),
  vlanTrunk: v.optional(vlanTrunkSchema()),
  preserveDefaultVlan: flag('Leave the port in VLAN 1 as well'),
  uplinks: extension(
    v.optional(
      v.pipe(v.array(v.string()), v.description('Ports of the bridge that carry the VLANs too, tagged')),
    ),
  ),
  macspoofchk: flag('Drop frames from the container that do not have its MAC'),
  enabledad: flag('Detect duplicates of the container’s IPv6 addresses'),
  disableContainerInterface: flag('Leave the container’s interface down; not with ipam'),
  prune: extension(flag('Delete the bridge, if it was made with this key, when its last container goes')),
  vethPrefix: extension(
    v.optional(
      v.pipe(v.string(), v.description('First characters of the names of host veths; default veth')),
    ),
  ),
  portIsolation: flag('Keep the container from the other isolated ports of the bridge'),
  ipv6: extension(
    v.optional(
      v.pipe(
        v.picklist(ipv6Modes),
        v.description('IPv6 on the container’s interface; default auto: on if it gets an IPv6 address'),
      ),
    ),
  ),
  bridgeNetfilter: extension(
    v.optional(
      v.pipe(
        v.picklist(bridgeNetfilterModes),
        v.description('Have iptables see bridged traffic; default off: leave the host’s setting alone'),
      ),
    ),
  ),
  args: v.optional(v.object({ cni: v.optional(v.object({ mac: macAddress() })) })),
  runtimeConfig: v.optional(v.object({ mac: macAddress() })),
})

/** A MAC that was asked for, unchecked, and where. */
type RequestedMac = {
  readonly text: string
  readonly source: 'CNI_ARGS' | 'args.cni.mac' | 'runtimeConfig.mac'
}

/** The configuration of the bridge plugin, complete; what contradicts itself is refused by refuseUnusable(). */
export type BridgeConf = {
  readonly network: string
  /** The IPAM plugin; undefined for layer 2 only. */
  readonly ipamType: string | undefined
  /** The IPAM plugin's networks, or those that the runtime gives, are of IPv6 too. */
  readonly expectsIPv6: boolean
  readonly bridge: string
  /** As configured; undefined: taken from the host's interfaces, those that `mtuOf` says. */
  readonly mtu: number | undefined
  readonly mtuOf: 'all' | 'default-routes'
  /** By how much an MTU taken from the host's interfaces is lowered, in bytes. */
  readonly mtuOverhead: number
  /** The MTU where the host has no interface to take it from. */
  readonly mtuFallback: number
  readonly isGateway: boolean
  readonly isDefaultGateway: boolean
  readonly forceAddress: boolean
  /** No other address of the bridge is in the way; "while-used": as long as it has other containers. */
  readonly keepAddresses: boolean | 'while-used'
  /** Undefined: no masquerading. */
  readonly masquerade:
    | {
        readonly backend: string | undefined
        readonly exempt: readonly Cidr[]
        readonly dropInvalid: boolean
      }
    | undefined
  readonly hairpin: boolean
  readonly promiscuous: boolean
  /** 0: none. */
  readonly vlan: number
  readonly trunk: readonly number[]
  readonly vlanFiltering: boolean
  readonly preserveDefaultVlan: boolean
  /** The bridge's ports that carry the VLANs too. */
  readonly uplinks: readonly string[]
  readonly macSpoofCheck: boolean
  readonly dad: boolean
  readonly containerInterfaceUp: boolean
  readonly portIsolation: boolean
  /** The bridge goes with its last container. */
  readonly prune: boolean
  /** The prefix of the names of host veths. */
  readonly vethPrefix: string
  /** "auto" turns IPv6 on if there is an IPv6 address and leaves it alone otherwise. */
  readonly ipv6: (typeof ipv6Modes)[number]
  readonly bridgeNetfilter: (typeof bridgeNetfilterModes)[number]
  /** The MAC asked for; undefined: one made from the address. */
  readonly mac: RequestedMac | undefined
  /** The DNS settings of the configuration, which win over the IPAM plugin's; undefined: none. */
  readonly dns: Dns | undefined
}

type RawConf = v.InferOutput<typeof bridgeSchema>

const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, message)

/** CNI_ARGS before args.cni before runtimeConfig: the last one given wins. */
const requestedMac = (conf: RawConf, call: Call): RequestedMac | undefined => {
  const given: { text: string | undefined; source: RequestedMac['source'] }[] = [
    { text: conf.runtimeConfig?.mac, source: 'runtimeConfig.mac' },
    { text: conf.args?.cni?.mac, source: 'args.cni.mac' },
    { text: readCniArgs(call.env.args, ['MAC']).MAC, source: 'CNI_ARGS' },
  ]
  for (const { text, source } of given) if (text) return { text, source }
  return undefined
}

const isSet = (settings: Dns | undefined): settings is Dns =>
  settings !== undefined && Object.values(settings).some(value => value !== undefined)

const withoutRoutes = (key: string, value: unknown): unknown =>
  key.toLowerCase() === 'routes' ? undefined : value

/** Is there an IPv6 network, such as "fd00::/64", anywhere in what the IPAM plugin goes by? Routes need no address. */
const expectsIPv6 = (raw: JsonObject): boolean =>
  Object.entries(raw).some(
    ([key, value]) =>
      ['ipam', 'runtimeconfig'].includes(key.toLowerCase()) &&
      /"[0-9a-f]{0,4}:[0-9a-f:.]{1,45}\/\d{1,3}"/i.test(JSON.stringify(value, withoutRoutes)),
  )

/** Reads the bridge plugin's configuration and CNI_ARGS. Throws code 7, or 4 for CNI_ARGS, if that cannot be done. */
export const readBridgeConf = (call: Call): BridgeConf => {
  const conf = parseBySchema(bridgeSchema, call.raw, 'bridge', { forgiving: isRemoval(call) })
  const { vlan = 0 } = conf
  if (vlan < 0 || vlan > 4094) throw invalid(`invalid VLAN ID ${vlan} (must be between 0 and 4094)`)
  const trunk = trunkVlans(conf.vlanTrunk ?? [])
  const { hairpinMode: mode } = conf
  const isGateway = (conf.isGateway || conf.isDefaultGateway) ?? false
  return {
    network: call.conf.name,
    ipamType: conf.ipam?.type,
    expectsIPv6: expectsIPv6(call.raw),
    bridge: conf.bridge || unnamedBridge(call, { isGateway }),
    mtu: conf.mtu === 'auto' ? undefined : conf.mtu || undefined,
    mtuOf: conf.mtu === 'auto' ? 'default-routes' : 'all',
    mtuOverhead: conf.mtuOverhead ?? 0,
    mtuFallback: conf.mtuFallback ?? kernelMtu,
    isGateway,
    isDefaultGateway: conf.isDefaultGateway ?? false,
    forceAddress: conf.forceAddress ?? false,
    keepAddresses: conf.keepAddresses ?? false,
    masquerade: conf.ipMasq
      ? {
          backend: conf.ipMasqBackend,
          exempt: (conf.nonMasqueradeCIDRs ?? []).map(networkOf),
          dropInvalid: conf.dropInvalid ?? false,
        }
      : undefined,
    hairpin: mode === true || mode === 'hairpin-veth',
    promiscuous: (conf.promiscMode ?? false) || mode === 'promiscuous-bridge',
    vlan,
    trunk,
    vlanFiltering: vlan !== 0 || conf.vlanTrunk !== undefined,
    preserveDefaultVlan: conf.preserveDefaultVlan ?? false,
    uplinks: conf.uplinks ?? [],
    macSpoofCheck: conf.macspoofchk ?? false,
    dad: conf.enabledad ?? false,
    containerInterfaceUp: !conf.disableContainerInterface,
    portIsolation: conf.portIsolation ?? false,
    prune: conf.prune ?? false,
    vethPrefix: conf.vethPrefix ?? defaultVethPrefix,
    ipv6: conf.ipv6 ?? 'auto',
    bridgeNetfilter: conf.bridgeNetfilter ?? 'off',
    mac: requestedMac(conf, call),
    dns: isSet(call.conf.dns) ? call.conf.dns : undefined,
  }
}
