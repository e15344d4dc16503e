/**
 * A node as a flowchart of Mermaid, which GitHub and others draw where it stands in a text:
 *
 *   flowchart TB
 *     outside(("outside"))
 *     subgraph host["node1"]
 *       uplink0["eth0<br/>192.0.2.10/24"]
 *       bridge0["bridge cbr0<br/>10.244.1.1/24"]
 *       pod0["web<br/>10.244.1.2"]
 *     end
 *     outside --- uplink0
 *     uplink0 --- bridge0
 *     bridge0 ---|"veth1a2b"| pod0
 *     uplink0 -->|"8080→80/tcp"| pod0
 */
import { printable } from '../../src/host/output'
import type { Scene, SceneBridge, ScenePod } from './scene'

/** Special characters of Mermaid and HTML, as entities of Mermaid. */
const entities = new Map([
  ['#', '#35;'],
  ['"', '#quot;'],
  ['<', '#lt;'],
  ['>', '#gt;'],
  ['&', '#amp;'],
  ['`', '#96;'],
])

const escapeText = (line: string): string =>
  printable(line).replaceAll(/[#"<>&`]/g, char => entities.get(char) ?? char)

/** Text between quotes. */
const quoted = (lines: readonly string[]): string =>
  `"${lines
    .filter(line => line !== '')
    .map(escapeText)
    .join('<br/>')}"`

const podLines = (pod: ScenePod): string[] => [
  pod.name,
  ...pod.addresses,
  pod.limit && `limit ${pod.limit}`,
  pod.doubt,
  ...pod.faults,
]

const bridgeLines = ({ name, addresses, mtu }: SceneBridge): string[] => [
  `bridge ${name}`,
  ...addresses,
  mtu === undefined ? '' : `MTU ${mtu}`,
]

/** Styles that read on light and dark ground alike. */
const classes = [
  'classDef bridge stroke:#2563eb,stroke-width:2px',
  'classDef fault stroke:#dc2626,stroke-width:2px',
  'classDef leftover stroke:#dc2626,stroke-dasharray:5 4,color:#dc2626',
]

const bridgePart = (bridge: SceneBridge, at: number, entry: string) => {
  const id = (i: number) => `pod${at}_${i}`
  const nodes = [
    `bridge${at}[${quoted(bridgeLines(bridge))}]:::bridge`,
    ...bridge.pods.map(
      (pod, i) => `${id(i)}[${quoted(podLines(pod))}]${pod.faults.length > 0 ? ':::fault' : ''}`,
    ),
  ]
  const edges = bridge.pods.flatMap((pod, i) => [
    pod.veth && !pod.faults.includes('veth-off-bridge')
      ? `bridge${at} ---|${quoted([pod.veth])}| ${id(i)}`
      : `bridge${at} -.- ${id(i)}`,
    ...pod.ports.map(({ from, to }) => `${entry} ==>|${quoted([`${from} → ${to}`])}| ${id(i)}`),
  ])
  return { nodes, edges }
}

/** The flowchart. */
export const formatMermaid = ({ host, uplinks, bridges, leftovers }: Scene): string => {
  const parts = bridges.map((bridge, i) => bridgePart(bridge, i, 'outside'))
  const uplinkNodes = uplinks.map(
    ({ name, addresses, mtu }, i) => `uplink${i}[${quoted([name, ...addresses, `MTU ${mtu}`])}]`,
  )
  const left = leftovers.map(({ objects, owner }, i) => `left${i}[${quoted([owner, ...objects])}]:::leftover`)
  const inside = [
    ...uplinkNodes,
    ...parts.flatMap(({ nodes }) => nodes),
    ...(left.length > 0
      ? [`subgraph leftovers[${quoted(['left behind'])}]`, ...left.map(line => `  ${line}`), 'end']
      : []),
  ]
  const lines = [
    'outside((outside))',
    `subgraph host[${quoted([host])}]`,
    ...inside.map(line => `  ${line}`),
    'end',
    ...uplinks.map((_, i) => `outside --- uplink${i}`),
    ...uplinks.flatMap((_, i) => bridges.map((_, j) => `uplink${i} --- bridge${j}`)),
    ...parts.flatMap(({ edges }) => edges),
    ...classes,
  ]
  return `flowchart TB\n${lines.map(line => `  ${line}\n`).join('')}`
}
