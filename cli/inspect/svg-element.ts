/** SVG as text: elements, colours, and how much room letters take. */
import { printableLines } from '../../src/host/output'
import {
  type Box,
  type Card,
  type CardLine,
  cardPadding,
  fontSize,
  type LeftoverCard,
  lineHeight,
} from './layout'

type Attributes = Readonly<Record<string, string | number | undefined>>

// Not in XML 1.0 at all, not even escaped.
const forbidden = /[\ufffe\uffff]/g

/** Text as it may stand in XML, between tags and between quotes; what would control a terminal as text does. */
const escapeXml = (text: string): string =>
  printableLines(text)
    .replace(forbidden, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')

const round = (value: number): number => Math.round(value * 10) / 10

/** An element; `content` is XML already. Numbers get one decimal. */
export const element = (name: string, attributes: Attributes, content = ''): string => {
  const words = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? round(value) : escapeXml(value ?? '')}"`)
  return content === '' ? `<${name}${words.join('')}/>\n` : `<${name}${words.join('')}>${content}</${name}>\n`
}

/** The fonts that are asked for; in every one of them all letters have the width that is reckoned with here. */
export const monospace = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"

const widthOfLetter = 0.602

/** How wide a text is, in pixels, at a font's size in pixels. */
export const textWidth = (text: string, size: number): number => text.length * size * widthOfLetter

/** How much of a name's end is kept: that is where those made from one template differ. */
const keptEnd = 6

/** As much of a text as has room; an ellipsis stands for what is left out before its end. */
export const fitText = (text: string, width: number, size: number): string => {
  const room = Math.floor(width / (size * widthOfLetter))
  if (text.length <= room) return text
  const end = room > 2 * keptEnd ? keptEnd : 0
  return `${text.slice(0, Math.max(0, room - 1 - end))}…${text.slice(text.length - end)}`
}

export const colours = {
  text: '#0f172a',
  dim: '#64748b',
  paper: '#ffffff',
  host: '#f8fafc',
  frame: '#94a3b8',
  card: '#cbd5e1',
  bridge: '#2563eb',
  bridgeFill: '#dbeafe',
  port: '#c2410c',
  portFill: '#ffedd5',
  fault: '#dc2626',
  faultFill: '#fef2f2',
} as const

export type Paint = Readonly<Record<string, string | number>>

/** A veth pair, and whatever else packets take. */
export const wire: Paint = { stroke: colours.frame, 'stroke-width': 2 }

/** The way to a host port. */
export const portWire: Paint = { stroke: colours.port, 'stroke-width': 2, 'stroke-linejoin': 'round' }

export const rect = (box: Box, paint: Paint): string => element('rect', { ...box, ...paint })

type TextStyle = {
  readonly fill?: string
  readonly weight?: number
  readonly anchor?: 'middle' | 'end'
}

export const text = (
  at: { readonly x: number; readonly y: number },
  words: string,
  { fill = colours.text, weight, anchor }: TextStyle = {},
): string =>
  element('text', { x: at.x, y: at.y, fill, 'font-weight': weight, 'text-anchor': anchor }, escapeXml(words))

export type Point = readonly [x: number, y: number]

/** A line through all points. */
export const line = (points: readonly Point[], paint: Paint): string =>
  element('polyline', {
    points: points.map(([x, y]) => `${Math.round(x)},${Math.round(y)}`).join(' '),
    fill: 'none',
    ...paint,
  })

/** The text that a resting pointer shows. */
export const tooltip = (lines: readonly string[]): string =>
  element('title', {}, escapeXml(lines.filter(Boolean).join('\n')))

export const middleOf = ({ x, width }: Box): number => x + width / 2

export const bottomOf = ({ y, height }: Box): number => y + height

/** Where the letters of a card's line stand. */
export const baselineOf = ({ y }: Box, row: number): number => y + cardPadding + row * lineHeight + 8

const lineStyles: Record<CardLine['kind'], TextStyle> = {
  name: { weight: 700 },
  plain: {},
  dim: { fill: colours.dim },
  fault: { fill: colours.fault, weight: 700 },
  port: { fill: colours.port, weight: 700 },
}

const drawLine = ({ box }: Card, { text: words, kind }: CardLine, row: number): string => {
  const fitting = fitText(words, box.width - 2 * cardPadding, fontSize)
  const at = { x: box.x + cardPadding, y: baselineOf(box, row) }
  const written = text(at, fitting, lineStyles[kind])
  if (kind !== 'port') return written
  const width = textWidth(fitting, fontSize) + 10
  const pill = { x: at.x - 5, y: at.y - 11.5, width, height: lineHeight - 1 }
  return rect(pill, { fill: colours.portFill, rx: 7 }) + written
}

/** The card of a container's interface; one with a fault is red. */
export const drawCard = (card: Card): string => {
  const { box, lines, pod } = card
  const paint =
    pod.faults.length > 0
      ? { fill: colours.faultFill, stroke: colours.fault, 'stroke-width': 1.5 }
      : { fill: colours.paper, stroke: colours.card, 'stroke-width': 1 }
  const about = tooltip([
    pod.name,
    ...pod.addresses,
    pod.veth,
    pod.limit && `limit ${pod.limit}`,
    ...pod.faults,
    ...pod.ports.map(({ from, to }) => `host port ${from} → ${to}`),
  ])
  const content = lines.map((entry, row) => drawLine(card, entry, row)).join('')
  return element('g', {}, `${about}${rect(box, { ...paint, rx: 6 })}${content}`)
}

/** The frame of a leftover. */
export const dashed = { stroke: colours.fault, 'stroke-width': 1.5, 'stroke-dasharray': '6 4' }

/** The card of what was left behind. */
export const drawLeftover = ({ box, lines, leftover: { objects, owner } }: LeftoverCard): string => {
  const room = box.width - 2 * cardPadding
  const x = box.x + cardPadding
  const words = lines.map(({ text: line, kind }, row) =>
    text({ x, y: baselineOf(box, row) }, fitText(line, room, fontSize), lineStyles[kind]),
  )
  const frame = rect(box, { fill: colours.faultFill, ...dashed, rx: 6 })
  return element('g', {}, tooltip([owner, ...objects]) + frame + words.join(''))
}
