/** The cards of the picture: containers, and what was left behind. */
import {
  type Box,
  type Card,
  type CardLine,
  cardPadding,
  fontSize,
  type LeftoverCard,
  lineHeight,
} from './layout'
import { colours, element, fitText, rect, type TextStyle, text, textWidth, tooltip } from './svg-element'

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
