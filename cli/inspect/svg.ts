/** A node as a picture: a self-contained SVG that needs no script, no style sheet and no other file. */
import { count } from '../frame/units'
import { type BridgePlace, fontSize, type Layout, layoutOf, uplinkLines } from './layout'
import type { Scene, SceneBridge } from './scene'
import {
  colours,
  dashed,
  drawCard,
  drawLeftover,
  element,
  fitText,
  line,
  middleOf,
  monospace,
  type Paint,
  portWire,
  rect,
  text,
  textWidth,
  tooltip,
  wire,
} from './svg-element'
import { drawPorts, drawRails, drawTrunks, drawUplinkWires, hasPorts } from './svg-wires'

const aboutBridge = ({ networks, mtu, pods }: SceneBridge): string =>
  [
    networks.length > 0 ? `network ${networks.map(network => `"${network}"`).join(', ')}` : '',
    mtu === undefined ? '' : `MTU ${mtu}`,
    count(pods.length, 'interface'),
  ]
    .filter(Boolean)
    .join(' · ')

const drawBridge = (place: BridgePlace): string => {
  const { bridge, bar } = place
  const { name, addresses } = bridge
  const y = bar.y + bar.height / 2 + 4
  const right = aboutBridge(bridge)
  const nameX = bar.x + 14
  const addressX = nameX + textWidth(name, fontSize) + 16
  const rightX = bar.x + bar.width - 14
  const room = rightX - textWidth(right, fontSize) - 16 - addressX
  const paint = { fill: colours.bridgeFill, stroke: colours.bridge, 'stroke-width': 1.5, rx: 8 }
  return [
    drawRails(place),
    drawPorts(place),
    rect(bar, paint),
    text({ x: nameX, y }, name, { weight: 700 }),
    text({ x: addressX, y }, fitText(addresses.join(' · '), room, fontSize)),
    text({ x: rightX, y }, right, { fill: colours.dim, anchor: 'end' }),
    ...place.cards.map(drawCard),
  ].join('')
}

const drawUplinks = ({ uplinks }: Layout): string =>
  uplinks
    .map(({ box, uplink }) => {
      const [name, addresses] = uplinkLines(uplink)
      const x = middleOf(box)
      return [
        rect(box, { fill: colours.paper, stroke: colours.frame, 'stroke-width': 1.5, rx: 6 }),
        text({ x, y: box.y + 17 }, name, { weight: 700, anchor: 'middle' }),
        text({ x, y: box.y + 33 }, addresses, { anchor: 'middle' }),
      ].join('')
    })
    .join('')

const drawLeftovers = ({ leftovers }: Layout): string =>
  leftovers
    ? text(leftovers.title, 'left behind', { fill: colours.fault, weight: 700 }) +
      leftovers.cards.map(drawLeftover).join('')
    : ''

const sampleWidth = 26

const drawLegend = ({ legendY: y, host, leftovers, bridges }: Layout): string => {
  const samples: (readonly [paint: Paint, words: string])[] = [
    [wire, 'veth pair'],
    ...(bridges.some(hasPorts) ? [[{ ...portWire, 'marker-end': 'url(#arrow)' }, 'host port'] as const] : []),
    ...(leftovers ? [[dashed, 'left behind'] as const] : []),
  ]
  return samples
    .map(([paint, words], i) => {
      const x = host.x + 4 + i * 132
      const points = [
        [x, y - 4],
        [x + sampleWidth, y - 4],
      ] as const
      return line(points, paint) + text({ x: x + sampleWidth + 8, y }, words, { fill: colours.dim })
    })
    .join('')
}

const arrowHead = (): string => {
  const size = { refX: 6, refY: 4, markerWidth: 4.5, markerHeight: 4.5 }
  const head = element('path', { d: 'M0,0 L8,4 L0,8 z', fill: colours.port })
  const marker = element('marker', { id: 'arrow', viewBox: '0 0 8 8', ...size, orient: 'auto' }, head)
  return element('defs', {}, marker)
}

const drawOutside = ({ outside }: Layout): string =>
  rect(outside, { fill: colours.host, stroke: colours.frame, 'stroke-width': 1.5, rx: 15 }) +
  text({ x: middleOf(outside), y: outside.y + 19 }, 'outside', { anchor: 'middle', fill: colours.dim })

/** The picture of a scene. */
export const formatSvg = (scene: Scene): string => {
  const layout = layoutOf(scene)
  const { width, height, host } = layout
  const head = {
    xmlns: 'http://www.w3.org/2000/svg',
    width,
    height,
    viewBox: `0 0 ${Math.round(width)} ${Math.round(height)}`,
    role: 'img',
    'font-family': monospace,
    'font-size': fontSize,
  }
  const content = [
    tooltip([`The networks of ${scene.host}`]),
    arrowHead(),
    rect({ x: 0, y: 0, width, height }, { fill: colours.paper }),
    rect(host, { fill: colours.host, stroke: colours.frame, 'stroke-width': 1.5, rx: 12 }),
    text({ x: host.x + 14, y: host.y + 24 }, scene.host, { weight: 700 }),
    drawTrunks(layout),
    drawUplinkWires(layout),
    drawUplinks(layout),
    drawOutside(layout),
    ...layout.bridges.map(drawBridge),
    drawLeftovers(layout),
    drawLegend(layout),
  ]
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element('svg', head, `\n${content.join('')}`)}`
}
