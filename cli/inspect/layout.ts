/** Where everything of a scene goes in its picture. Lengths are in pixels. */
import type { Scene, SceneBridge, SceneLeftover, ScenePod, SceneUplink } from './scene'
import { textWidth } from './svg-element'

export type Box = { readonly x: number; readonly y: number; readonly width: number; readonly height: number }

/** A line of a card. */
export type CardLine = { readonly text: string; readonly kind: 'name' | 'plain' | 'dim' | 'fault' | 'port' }

export type Card = {
  readonly box: Box
  readonly lines: readonly CardLine[]
  readonly pod: ScenePod
  /** Where the line runs down that leads to the cards of its column. */
  readonly railX: number
}

export type BridgePlace = { readonly bridge: SceneBridge; readonly bar: Box; readonly cards: readonly Card[] }

/** The whole picture. */
export type Layout = {
  readonly width: number
  readonly height: number
  readonly outside: Box
  readonly host: Box
  readonly uplinks: readonly { readonly box: Box; readonly uplink: SceneUplink }[]
  readonly bridges: readonly BridgePlace[]
  /** Undefined where nothing is left behind. */
  readonly leftovers:
    | { readonly title: { x: number; y: number }; readonly cards: readonly LeftoverCard[] }
    | undefined
  readonly legendY: number
}

export type LeftoverCard = {
  readonly box: Box
  readonly leftover: SceneLeftover
  readonly lines: readonly CardLine[]
}

export const fontSize = 12
export const lineHeight = 16
export const cardPadding = 10

const margin = 20
const inset = 28
const barHeight = 40
const rowGap = 14
const railGap = 30
const uplinkHeight = 42
const hostTop = 96
const legendHeight = 34

/** From this many on, cards are narrow and tell only what tells them apart. */
const crowd = 25

type Grid = { readonly columns: number; readonly cardWidth: number; readonly isCrowded: boolean }

/** Few containers stand in one row, many in about twice as many rows as columns. */
const gridOf = (count: number): Grid => {
  if (count >= crowd)
    return { columns: Math.min(8, Math.ceil(Math.sqrt(count * 0.7))), cardWidth: 150, isCrowded: true }
  const columns = count <= 4 ? Math.max(1, count) : Math.min(5, Math.ceil(count / Math.ceil(count / 5)))
  return { columns, cardWidth: 206, isCrowded: false }
}

const gridWidth = ({ columns, cardWidth }: Grid): number => columns * (cardWidth + railGap)

/** Without what has no room in a crowd: a pod's namespace, an address of the host. */
const shortName = (name: string): string => name.slice(name.indexOf('/') + 1)
const shortPort = (from: string): string => from.replace(/^.*:(\d+)$/, ':$1')

const linesOf = (pod: ScenePod, isCrowded: boolean): CardLine[] => {
  const addresses = isCrowded ? pod.addresses.slice(0, 1) : pod.addresses
  const details = [pod.veth, pod.limit && `⇅ ${pod.limit}`].filter(Boolean).join(' ')
  return [
    { text: isCrowded ? shortName(pod.name) : pod.name, kind: 'name' },
    ...addresses.map(text => ({ text, kind: 'plain' as const })),
    ...(isCrowded || details === '' ? [] : [{ text: details, kind: 'dim' as const }]),
    ...(pod.doubt ? [{ text: pod.doubt, kind: 'dim' as const }] : []),
    ...pod.faults.map(text => ({ text, kind: 'fault' as const })),
    ...pod.ports.map(({ from, to }) => ({
      text: `${isCrowded ? shortPort(from) : from} → ${to}`,
      kind: 'port' as const,
    })),
  ]
}

const heightOf = (lines: readonly CardLine[]): number => lines.length * lineHeight + 2 * cardPadding - 6

/** The cards of a bridge, row by row below `top`; each row is as high as its highest card. */
const placeCards = (
  pods: readonly ScenePod[],
  left: number,
  top: number,
): { cards: Card[]; bottom: number } => {
  const { columns, cardWidth, isCrowded } = gridOf(pods.length)
  const cards: Card[] = []
  let y = top
  for (let from = 0; from < pods.length; from += columns) {
    const row = pods.slice(from, from + columns).map(pod => ({ pod, lines: linesOf(pod, isCrowded) }))
    const height = Math.max(...row.map(({ lines }) => heightOf(lines)))
    row.forEach(({ pod, lines }, column) => {
      const railX = left + column * (cardWidth + railGap) + railGap / 2 - 3
      const box = { x: railX + railGap / 2 + 3, y, width: cardWidth, height: heightOf(lines) }
      cards.push({ pod, lines, railX, box })
    })
    y += height + rowGap
  }
  return { cards, bottom: pods.length === 0 ? top : y - rowGap }
}

/** The text on an uplink. */
export const uplinkLines = ({ name, addresses, mtu }: SceneUplink): [string, string] => [
  `${name} · MTU ${mtu}`,
  addresses.join(' '),
]

const placeUplinks = (uplinks: readonly SceneUplink[], host: Box): Layout['uplinks'] => {
  const widths = uplinks.map(
    uplink => Math.max(...uplinkLines(uplink).map(line => textWidth(line, fontSize))) + 28,
  )
  const gap = 24
  const total = widths.reduce((sum, width) => sum + width + gap, -gap)
  let x = host.x + (host.width - total) / 2
  return uplinks.map((uplink, i) => {
    const width = widths[i] ?? 0
    const box = { x, y: host.y - uplinkHeight / 2, width, height: uplinkHeight }
    x += width + gap
    return { box, uplink }
  })
}

/** Leftovers of a container beyond this number of lines are only counted. */
const mostObjects = 6

const leftoverLines = ({ owner, objects }: SceneLeftover): CardLine[] => {
  const more = objects.length - mostObjects
  return [
    { text: owner || 'owner unknown', kind: owner ? 'fault' : 'dim' },
    ...objects.slice(0, mostObjects).map(text => ({ text, kind: 'plain' as const })),
    ...(more > 0 ? [{ text: `and ${more} more`, kind: 'dim' as const }] : []),
  ]
}

/** Row by row below `inner`; each row is as high as its highest card. */
const placeLeftovers = (leftovers: readonly SceneLeftover[], inner: Box): LeftoverCard[] => {
  const columns = Math.max(1, Math.floor(inner.width / 290))
  const width = (inner.width - (columns - 1) * rowGap) / columns
  const cards: LeftoverCard[] = []
  let y = inner.y
  for (let from = 0; from < leftovers.length; from += columns) {
    const row = leftovers
      .slice(from, from + columns)
      .map(leftover => ({ leftover, lines: leftoverLines(leftover) }))
    const height = Math.max(...row.map(({ lines }) => heightOf(lines)))
    row.forEach(({ leftover, lines }, column) => {
      cards.push({ leftover, lines, box: { x: inner.x + column * (width + rowGap), y, width, height } })
    })
    y += height + rowGap
  }
  return cards
}

/** The bar must hold its text, whatever hangs on it. */
const leastInnerWidth = 600

/** Places a scene. */
export const layoutOf = ({ uplinks, bridges, leftovers }: Scene): Layout => {
  const innerWidth = Math.max(
    leastInnerWidth,
    ...bridges.map(({ pods }) => gridWidth(gridOf(pods.length)) + 8),
  )
  const innerX = margin + inset
  let y = hostTop + uplinkHeight / 2 + 38
  const places = bridges.map(bridge => {
    const bar = { x: innerX, y, width: innerWidth, height: barHeight }
    const left = innerX + (innerWidth - gridWidth(gridOf(bridge.pods.length))) / 2
    const { cards, bottom } = placeCards(bridge.pods, left, y + barHeight + 26)
    y = bottom + 34
    return { bridge, bar, cards }
  })
  const title = { x: innerX, y: y + 4 }
  const cards = placeLeftovers(leftovers, { x: innerX, y: y + 16, width: innerWidth, height: 0 })
  const last = cards.at(-1)?.box
  const bottom = last ? last.y + last.height + 26 : y - 6
  const host = { x: margin, y: hostTop, width: innerWidth + 2 * inset, height: bottom - hostTop }
  const width = host.width + 2 * margin
  return {
    width,
    height: bottom + legendHeight + 12,
    outside: { x: width / 2 - 60, y: 12, width: 120, height: 30 },
    host,
    uplinks: placeUplinks(uplinks, host),
    bridges: places,
    leftovers: last ? { title, cards } : undefined,
    legendY: bottom + legendHeight / 2 + 10,
  }
}
