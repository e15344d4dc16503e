/** The ways that packets of a network's containers take through the host, as hooks of its packet filters. */
import type { Hook, Mark, Packet } from '../../node/packets/packet'
import type { NodeAttachment } from '../../node/survey/attachments'
import type { Network } from '../../node/survey/networks'
import type { Survey } from '../../node/survey/survey'
import { readSysctl } from '../../src/host/sysctl'
import { type Family, formatAddr } from '../../src/ip/addr'
import { uplinkOf } from './routes'

/** One hook on a way, and how nft names its packets in a rule that is to let them pass. */
type Hop = { readonly packet: Packet; readonly named: string }

export type Way = { readonly words: string; readonly hops: readonly Hop[] }

type Facts = Pick<Packet, 'src' | 'dst' | 'ctstate' | 'frame'>

type Stop = readonly [hook: Hook, from: string | undefined, to: string | undefined, named: string]

/** Documentation's address (RFC 5737, RFC 3849): somewhere outside. */
const elsewhere = { 4: '203.0.113.1', 6: '2001:db8::1' } as const

/** A container that packets come from or go to: a running one if there is any, so that rules of its own are passed. */
type Pod = { readonly address: string; readonly port: string | undefined; readonly mac: string | undefined }

const podOf = ({ addresses, veth, container }: NodeAttachment, family: Family): Pod[] => {
  const address = addresses.find(own => own.includes(':') === (family === 6))
  return address === undefined ? [] : [{ address, port: veth?.name, mac: container?.mac }]
}

/** Frames on a bridge pass the hooks of routed packets too, as coming from and going to the bridge. */
const passesIptables = (family: Family): boolean =>
  readSysctl(`net/bridge/bridge-nf-call-${family === 4 ? 'iptables' : 'ip6tables'}`) === '1'

type Route = (words: string, facts: Facts, stops: readonly Stop[]) => Way

const routed = (route: Route, scene: Scene): Way[] => {
  const { bridge, family, pod, out, gateway } = scene
  const from = `iifname "${bridge}"`
  const to = `oifname "${bridge}"`
  const back = out === undefined ? '' : `iifname "${out}"`
  return [
    route('packets from containers', { src: pod.address, dst: elsewhere[family], ctstate: 'NEW' }, [
      ['prerouting', bridge, '', from],
      ['forward', bridge, out, from],
      ['postrouting', undefined, out, `${family === 4 ? 'ip' : 'ip6'} saddr ${pod.address}`],
    ]),
    // They are for an address of the host until that is translated.
    route('replies to containers', { src: elsewhere[family], dst: undefined, ctstate: 'ESTABLISHED' }, [
      ['prerouting', out, '', back],
    ]),
    route('replies to containers', { src: elsewhere[family], dst: pod.address, ctstate: 'ESTABLISHED' }, [
      ['forward', out, bridge, to],
      ['postrouting', undefined, bridge, to],
    ]),
    route('packets from the node to containers', { src: gateway, dst: pod.address, ctstate: 'NEW' }, [
      ['output', '', bridge, to],
      ['postrouting', '', bridge, to],
    ]),
    route('replies of containers to the node', { src: pod.address, dst: gateway, ctstate: 'ESTABLISHED' }, [
      ['prerouting', bridge, '', from],
      ['input', bridge, '', from],
    ]),
  ]
}

/** Frames between containers and their bridge; none if no container runs, as its ports have no names yet. */
const framed = (route: Route, { bridge, family, pods }: Scene): Way[] => {
  const [first, second] = pods
  if (!first?.port) return []
  const { address, port, mac } = first
  // By the names of its ports: not every kernel has nft_meta_bridge, for rules with the name of the bridge.
  const ports = port.startsWith('veth') ? 'veth*' : port
  const from = `iifname "${ports}"`
  const to = `oifname "${ports}"`
  const outside = elsewhere[family]
  const ways = [
    route(
      'frames from containers',
      { src: address, dst: outside, ctstate: 'NEW', frame: { bridge, srcMac: mac, dstMac: undefined } },
      [
        ['prerouting', port, '', from],
        ['input', port, '', from],
      ],
    ),
    route(
      'frames to containers',
      { src: outside, dst: address, ctstate: 'NEW', frame: { bridge, srcMac: undefined, dstMac: mac } },
      [
        ['output', '', port, to],
        ['postrouting', '', port, to],
      ],
    ),
  ]
  if (!second?.port) return ways
  const facts = { src: address, dst: second.address, ctstate: 'NEW' } as const
  ways.push(
    route('frames between containers', { ...facts, frame: { bridge, srcMac: mac, dstMac: second.mac } }, [
      ['forward', port, second.port, from],
    ]),
  )
  if (passesIptables(family))
    ways.push(
      route('packets between containers', facts, [['forward', bridge, bridge, `iifname "${bridge}"`]]),
    )
  return ways
}

type Scene = {
  readonly bridge: string
  readonly family: Family
  readonly pods: readonly Pod[]
  readonly pod: Pick<Pod, 'address'>
  readonly gateway: string
  /** The uplink; undefined where there is no default route. */
  readonly out: string | undefined
}

/** All ways of a family's packets; none if the network has no addresses of it. */
export const waysOf = (
  { bridge = '', ipam, name }: Network,
  { family, protocol }: Pick<Packet, 'family' | 'protocol'>,
  survey: Survey,
): Way[] => {
  const range = ipam?.rangeSets.find(({ ranges }) => ranges[0].start.family === family)?.ranges[0]
  if (!range) return []
  const pods = survey.attachments
    .filter(({ network, state }) => network === name && state === 'running')
    .flatMap(attachment => podOf(attachment, family))
  const scene: Scene = {
    bridge,
    family,
    pods,
    pod: pods[0] ?? { address: formatAddr(range.start) },
    gateway: formatAddr(range.gateway),
    out: uplinkOf(survey, family)?.name,
  }
  const marks = new Map<string, Mark>()
  const route: Route = (words, facts, stops) => {
    const mark = marks.get(words) ?? { isZero: true }
    marks.set(words, mark)
    // What lets replies pass is not to let anything else pass.
    const state = facts.ctstate === 'ESTABLISHED' ? ['ct state established,related'] : []
    return {
      words,
      hops: stops.map(([hook, from, to, named]) => ({
        packet: { ...facts, family, protocol, hook, in: from, out: to, mark },
        named: [...(named === '' ? [] : [named]), ...state].join(' '),
      })),
    }
  }
  return [...routed(route, scene), ...framed(route, scene)]
}
