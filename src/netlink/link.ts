import { type Mac, macBytes } from '../ip/mac'
import { unlessRefused } from './error'
import { type NetlinkSocket, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL } from './socket'
import * as w from './wire/link'
import { type Attribute, type EntryFilter, messageBody, putString, putU8, putU32 } from './wire/message'

export { IF_OPER_UP, IFF_LOOPBACK, IFF_POINTOPOINT, IFF_PROMISC, IFF_UP, type Link } from './wire/link'

// Without its counters a link's description is 700 bytes instead of 1,400: dumps are what grows with the pods.
const filter: Attribute = [w.IFLA_EXT_MASK, putU32(w.RTEXT_FILTER_SKIP_STATS)]

const getLinkMessage = (
  nl: NetlinkSocket,
  what: string,
  index: number,
  attributes: Attribute[],
): Buffer | undefined => {
  const replies = unlessRefused(['ENODEV'], () =>
    nl.request(`look up ${what}`, {
      type: w.RTM_GETLINK,
      body: messageBody(w.ifInfoMsg({ index }), [...attributes, filter]),
    }),
  )
  return replies?.find(({ type }) => type === w.RTM_NEWLINK)?.data
}

const getLink = (...args: Parameters<typeof getLinkMessage>): w.Link | undefined => {
  const message = getLinkMessage(...args)
  return message && w.readLink(message)
}

/** The interface called `name`, or undefined. Equivalent to: `ip link show dev $name`. */
export const linkByName = (nl: NetlinkSocket, name: string): w.Link | undefined =>
  getLink(nl, `interface "${name}"`, 0, [[w.IFLA_IFNAME, putString(name)]])

/** The interface with this index, or undefined. */
export const linkByIndex = (nl: NetlinkSocket, index: number): w.Link | undefined =>
  getLink(nl, `interface ${index}`, index, [])

/** <linux/ip.h>: IPV4_DEVCONF_ROUTE_LOCALNET */
const routeLocalnet = 26

/** The interface's name, and its net.ipv4.conf.<name>.route_localnet; undefined if there is none with this index. */
export const localnetOf = (
  nl: NetlinkSocket,
  index: number,
): { name: string; routeLocalnet: boolean } | undefined => {
  const message = getLinkMessage(nl, `interface ${index}`, index, [])
  return (
    message && {
      name: w.readLink(message).name,
      routeLocalnet: w.readInetConf(message, routeLocalnet) === 1,
    }
  )
}

const dumpLinks = (nl: NetlinkSocket, only: Attribute[], entries?: EntryFilter): w.Link[] => {
  const body = messageBody(w.ifInfoMsg({}), [...only, filter])
  const replies = nl.dump('list the interfaces', { type: w.RTM_GETLINK, body }, entries)
  return replies.map(({ data }) => w.readLink(data))
}

/** All interfaces, or only the ports of a bridge. Equivalent to: `ip link show [master $master]`. */
export const linkList = (nl: NetlinkSocket, master?: number): w.Link[] =>
  master === undefined
    ? dumpLinks(nl, [])
    : // A kernel without strict checking sends them all.
      dumpLinks(nl, [[w.IFLA_MASTER, putU32(master)]]).filter(link => link.master === master)

/** For IFLA_MASTER, since Linux 5.16: of those without one (net/core/rtnetlink.c, link_master_filtered). */
const noMaster: Attribute = [w.IFLA_MASTER, putU32(0xffffffff)]

/**
 * The interfaces that are ports of nothing, except for those without ARP whose names begin with `ifbPrefix`: a container's
 * ifb is such. Equivalent to: `ip link show nomaster`, without the descriptions of ports and ifbs being read, which
 * are nearly all that there is beside many containers.
 */
export const freeLinkList = (nl: NetlinkSocket, ifbPrefix: string): w.Link[] => {
  const entries = w.exceptNoArp(ifbPrefix)
  const links = dumpLinks(nl, [noMaster], entries)
  // An older kernel looks for a master of that number and finds none, where at least "lo" is free.
  return (links.length > 0 ? links : dumpLinks(nl, [], entries)).filter(({ master }) => master === 0)
}

/**
 * Creates an interface. Linux 6.2 and later answer with its description, from before it got a master
 * (rtnl_newlink_create in net/core/rtnetlink.c), which spares looking it up; older ones do not, and the answer is undefined.
 */
const addLink = (
  nl: NetlinkSocket,
  op: string,
  header: w.IfInfo,
  attributes: Attribute[],
): w.Link | undefined => {
  const replies = nl.request(op, {
    type: w.RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO,
    body: messageBody(w.ifInfoMsg(header), attributes),
  })
  const message = replies.find(({ type }) => type === w.RTM_NEWLINK)
  return message && w.readLink(message.data)
}

const linkInfo = (kind: string, data?: readonly Attribute[]): Attribute => [
  w.IFLA_LINKINFO,
  [
    [w.IFLA_INFO_KIND, Buffer.from(kind)],
    [w.IFLA_INFO_DATA, data],
  ],
]

const up = { flags: w.IFF_UP, change: w.IFF_UP }

/**
 * Creates a bridge that is up. A MAC given here stays the bridge's own: the kernel then no longer takes over the
 * lowest one of its ports. Equivalent to: `ip link add $name address $mac mtu $mtu up type bridge`.
 */
export const bridgeAdd = (
  nl: NetlinkSocket,
  bridge: { name: string; mac: Mac; mtu?: number | undefined; vlanFiltering: boolean; group?: number },
): void => {
  const { name, mac, mtu, vlanFiltering, group } = bridge
  addLink(nl, `create bridge "${name}"`, up, [
    [w.IFLA_IFNAME, putString(name)],
    [w.IFLA_ADDRESS, macBytes(mac)],
    [w.IFLA_MTU, mtu === undefined ? undefined : putU32(mtu)],
    [w.IFLA_GROUP, group ? putU32(group) : undefined],
    linkInfo('bridge', vlanFiltering ? [[w.IFLA_BR_VLAN_FILTERING, putU8(1)]] : undefined),
  ])
}

/** One end of a veth pair. */
type VethEnd = { name: string; mac: Mac; mtu: number }

/**
 * Creates a veth pair in one message: the host end, up if wanted, a port of the bridge, its peer in another namespace
 * under its final name, which spares moving and renaming it. The peer cannot be created up: the kernel opens it before
 * the two know each other (drivers/net/veth.c, veth_open), ENOTCONN. Both MACs are given, so that udev, which
 * renews the random ones, leaves them alone. Answers the host end where the kernel describes it.
 */
export const vethAdd = (
  nl: NetlinkSocket,
  pair: {
    host: VethEnd & { up: boolean; master?: number; group?: number }
    peer: VethEnd & { netnsFd?: number }
  },
): w.Link | undefined => {
  const { host, peer } = pair
  const end = ({ name, mac, mtu }: VethEnd): Attribute[] => [
    [w.IFLA_IFNAME, putString(name)],
    [w.IFLA_ADDRESS, macBytes(mac)],
    [w.IFLA_MTU, putU32(mtu)],
  ]
  const peerBody = Buffer.concat(
    messageBody(w.ifInfoMsg({}), [
      ...end(peer),
      [w.IFLA_NET_NS_FD, peer.netnsFd === undefined ? undefined : putU32(peer.netnsFd)],
    ]),
  )
  const made = addLink(nl, `create the veth pair "${host.name}" and "${peer.name}"`, host.up ? up : {}, [
    ...end(host),
    [w.IFLA_MASTER, host.master === undefined ? undefined : putU32(host.master)],
    [w.IFLA_GROUP, host.group === undefined ? undefined : putU32(host.group)],
    linkInfo('veth', [[w.VETH_INFO_PEER, peerBody]]),
  ])
  return made && { ...made, master: host.master ?? 0 }
}

/** <linux/if_link.h> */
const IFLA_TXQLEN = 13

/**
 * Creates an ifb: a device that sends what is redirected to it back to where it came from, so that it can be queued in
 * between. Its own queue has no length; that is for a qdisc to say. Answers it where the kernel describes it.
 * Equivalent to: `ip link add $name address $mac mtu $mtu txqueuelen 0 group $group type ifb`.
 */
export const ifbAdd = (
  nl: NetlinkSocket,
  ifb: { name: string; mac: Mac; mtu: number; group: number },
): w.Link | undefined =>
  addLink(nl, `create ifb "${ifb.name}"`, {}, [
    [w.IFLA_IFNAME, putString(ifb.name)],
    [w.IFLA_ADDRESS, macBytes(ifb.mac)],
    [w.IFLA_MTU, putU32(ifb.mtu)],
    [IFLA_TXQLEN, putU32(0)],
    [w.IFLA_GROUP, putU32(ifb.group)],
    linkInfo('ifb'),
  ])

/** The properties of an interface that can be changed; what is left out stays. */
export type LinkChange = {
  up?: boolean
  promisc?: boolean
  mtu?: number
  mac?: Mac
  /** The bridge to be a port of; 0 to be free. */
  master?: number
  alias?: string
  group?: number
}

/** Changes an interface. Equivalent to: `ip link set dev $index …`. */
export const linkSet = (
  nl: NetlinkSocket,
  link: { index: number; name: string },
  change: LinkChange,
): void => {
  const flags = (change.up ? w.IFF_UP : 0) | (change.promisc ? w.IFF_PROMISC : 0)
  const mask = (change.up === undefined ? 0 : w.IFF_UP) | (change.promisc === undefined ? 0 : w.IFF_PROMISC)
  const words = Object.entries(change).map(([key, value]) => `${key} ${value}`)
  nl.request(`set ${words.join(', ')} on "${link.name}"`, {
    type: w.RTM_SETLINK,
    body: messageBody(w.ifInfoMsg({ index: link.index, flags, change: mask }), [
      [w.IFLA_MTU, change.mtu === undefined ? undefined : putU32(change.mtu)],
      [w.IFLA_ADDRESS, change.mac === undefined ? undefined : macBytes(change.mac)],
      [w.IFLA_MASTER, change.master === undefined ? undefined : putU32(change.master)],
      [w.IFLA_IFALIAS, change.alias === undefined ? undefined : Buffer.from(change.alias)],
      [w.IFLA_GROUP, change.group === undefined ? undefined : putU32(change.group)],
    ]),
  })
}

/** The modes of a bridge port, and the note with its owner. */
type PortChange = {
  hairpin?: boolean
  isolated?: boolean
  alias?: string
  group?: number
  /** Brings it up, after all else is done. */
  up?: true
}

/**
 * Changes a bridge port, known by its index or by its name alone, in one message. With a group and no index the kernel
 * would change every interface of that group. Equivalent to: `bridge link set dev $index hairpin on isolated on`.
 */
export const bridgePortSet = (
  nl: NetlinkSocket,
  ...[link, port]:
    | [link: { index: number; name: string }, port: PortChange]
    | [link: { index?: never; name: string }, port: PortChange & { group?: never }]
): void => {
  const flag = (value: boolean | undefined) => (value === undefined ? undefined : putU8(value ? 1 : 0))
  nl.request(`set up the bridge port "${link.name}"`, {
    // RTM_SETLINK does not read the port's own attributes, RTM_NEWLINK on an interface that exists does.
    type: w.RTM_NEWLINK,
    body: messageBody(
      w.ifInfoMsg({ ...(link.index !== undefined && { index: link.index }), ...(port.up && up) }),
      [
        [w.IFLA_IFNAME, link.index === undefined ? putString(link.name) : undefined],
        [w.IFLA_IFALIAS, port.alias === undefined ? undefined : Buffer.from(port.alias)],
        [w.IFLA_GROUP, port.group === undefined ? undefined : putU32(port.group)],
        [
          w.IFLA_LINKINFO,
          [
            [w.IFLA_INFO_SLAVE_KIND, Buffer.from('bridge')],
            [
              w.IFLA_INFO_SLAVE_DATA,
              [
                [w.IFLA_BRPORT_MODE, flag(port.hairpin)],
                [w.IFLA_BRPORT_ISOLATED, flag(port.isolated)],
              ],
            ],
          ],
        ],
      ],
    ),
  })
}

/** Deletes an interface; one that is gone already is no failure. Equivalent to: `ip link del dev $index`. */
export const linkDel = (nl: NetlinkSocket, link: { index: number; name: string }): void => {
  unlessRefused(['ENODEV'], () =>
    nl.request(`delete "${link.name}"`, {
      type: w.RTM_DELLINK,
      body: messageBody(w.ifInfoMsg({ index: link.index }), []),
    }),
  )
}

/** Where the groups of links that are being deleted begin: well above those that people number. */
const firstDoomedGroup = 0x50000000

/**
 * Deletes interfaces in one message, which the kernel waits for once: it knows several only by their group, so that
 * they are put into one that no others are in, numbered after the first of them.
 * Equivalent to: `ip link set dev $index group $group` for each, `ip link del group $group`.
 */
export const linkDelTogether = (
  nl: NetlinkSocket,
  links: readonly [{ index: number; name: string }, ...{ index: number; name: string }[]],
): void => {
  const group = firstDoomedGroup + links[0].index
  for (const link of links) linkSet(nl, link, { group })
  nl.request(`delete ${links.map(({ name }) => `"${name}"`).join(' and ')}`, {
    type: w.RTM_DELLINK,
    body: messageBody(w.ifInfoMsg({}), [[w.IFLA_GROUP, putU32(group)]]),
  })
}
