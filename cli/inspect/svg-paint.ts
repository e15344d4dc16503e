/** The colours of the picture, and boxes, lines and letters in them. */
import type { Box } from './layout'
import { element, escapeXml } from './svg-element'

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

export type TextStyle = {
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

/** What a pointer that rests on it is told. */
export const tooltip = (lines: readonly string[]): string =>
  element('title', {}, escapeXml(lines.filter(Boolean).join('\n')))

export const middleOf = ({ x, width }: Box): number => x + width / 2

export const bottomOf = ({ y, height }: Box): number => y + height
