/** The lines of the picture: from outside by the uplinks to the bridges, and from those to the containers. */
import type { BridgePlace, Layout } from './layout'
import {
  baselineOf,
  bottomOf,
  colours,
  element,
  line,
  middleOf,
  type Paint,
  type Point,
  portWire,
  wire,
} from './svg-element'

/** How far the way to host ports is from the wire beside it. */
const beside = 6

const cutWire: Paint = { stroke: colours.fault, 'stroke-width': 2, 'stroke-dasharray': '3 3' }

const polylines = (starts: ReadonlyMap<number, number>, top: number, paint: Paint): string =>
  [...starts]
    .map(([x, y]) =>
      line(
        [
          [x, top],
          [x, y],
        ],
        paint,
      ),
    )
    .join('')

/** Down each column of cards, with a stub to each; a container that is off its bridge has only the stub's end. */
export const drawRails = ({ bar, cards }: BridgePlace): string => {
  const rails = new Map<number, number>()
  const stubs = cards.map(({ box, railX, pod }) => {
    const y = baselineOf(box, 0) - 4
    const isOff = pod.faults.includes('veth-off-bridge') || pod.veth === ''
    if (!isOff) rails.set(railX, y)
    const stub: Point[] = [
      [railX + (isOff ? beside : 0), y],
      [box.x, y],
    ]
    return line(stub, isOff ? cutWire : wire)
  })
  return polylines(rails, bottomOf(bar), wire) + stubs.join('')
}

/** An arrow to each host port on a card, all of a column from one line beside its rail. */
export const drawPorts = ({ bar, cards }: BridgePlace): string => {
  const rails = new Map<number, number>()
  const arrows = cards.flatMap(({ box, lines, railX }) =>
    lines.flatMap(({ kind }, row) => {
      if (kind !== 'port') return []
      const y = baselineOf(box, row) - 4
      const x = railX + beside
      rails.set(x, Math.max(y, rails.get(x) ?? 0))
      const d = `M${Math.round(x)},${y} H${box.x - 2}`
      return [element('path', { d, ...portWire, fill: 'none', 'marker-end': 'url(#arrow)' })]
    }),
  )
  return polylines(rails, bottomOf(bar), portWire) + arrows.join('')
}

/** Has any container of the bridge a host port? */
export const hasPorts = ({ cards }: BridgePlace): boolean => cards.some(({ pod }) => pod.ports.length > 0)

/** From the uplinks to the first bridge straight down, to the others along the left side. */
export const drawTrunks = ({ uplinks, bridges, host }: Layout): string => {
  const [first, ...others] = bridges
  const uplink = uplinks[0]?.box
  if (!first || !uplink) return ''
  const busY = first.bar.y - 22
  const sideX = host.x + 12
  const centre = middleOf(first.bar)
  const xs = [...uplinks.map(({ box }) => middleOf(box)), centre, ...(others.length > 0 ? [sideX] : [])]
  const wires: Point[][] = [
    [
      [Math.min(...xs), busY],
      [Math.max(...xs), busY],
    ],
    ...uplinks.map(({ box }): Point[] => [
      [middleOf(box), bottomOf(box)],
      [middleOf(box), busY],
    ]),
    [
      [centre, busY],
      [centre, first.bar.y],
    ],
    ...others.map((place): Point[] => wayAlongSide(place, sideX, busY)),
  ]
  const from = middleOf(uplink) + beside
  const ports: Point[][] = [
    ...(hasPorts(first) ? [stepWay([from, bottomOf(uplink)], [centre + beside, first.bar.y], busY - 4)] : []),
    ...others
      .filter(hasPorts)
      .map((place): Point[] => [
        [from, bottomOf(uplink)],
        [from, busY - 4],
        ...wayAlongSide(place, sideX + beside, busY - 4, beside),
      ]),
  ]
  return [...wires.map(points => line(points, wire)), ...ports.map(points => line(points, portWire))].join('')
}

const wayAlongSide = ({ bar }: BridgePlace, x: number, top: number, lower = 0): Point[] => {
  const y = bar.y + bar.height / 2 + lower
  return [
    [x, top],
    [x, y],
    [bar.x, y],
  ]
}

const stepWay = ([fromX, fromY]: Point, [toX, toY]: Point, turnY: number): Point[] => [
  [fromX, fromY],
  [fromX, turnY],
  [toX, turnY],
  [toX, toY],
]

/** From outside to the uplinks. Host ports are shown to come by the first. */
export const drawUplinkWires = ({ uplinks, outside, bridges }: Layout): string => {
  const from = middleOf(outside)
  const turnY = bottomOf(outside) + 8
  return uplinks
    .map(({ box }, i) => {
      const x = middleOf(box)
      const isPortWay = i === 0 && bridges.some(hasPorts)
      const turn = x >= from ? turnY - 3 : turnY + 3
      const start: Point = [from + beside, bottomOf(outside)]
      return (
        line(stepWay([from, bottomOf(outside)], [x, box.y], turnY), wire) +
        (isPortWay ? line(stepWay(start, [x + beside, box.y], turn), portWire) : '')
      )
    })
    .join('')
}
