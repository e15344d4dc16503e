/** The few words of SVG that the drawings are made of. */

const quoted = text => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

const attributes = values =>
  Object.entries(values)
    .map(
      ([name, value]) => ` ${name}="${typeof value === 'number' ? Number(value.toFixed(1)) : quoted(value)}"`,
    )
    .join('')

export const tag = (name, values, ...children) =>
  children.length > 0
    ? `<${name}${attributes(values)}>${children.join('')}</${name}>`
    : `<${name}${attributes(values)}/>`

/** Text with its baseline at (x, y). `anchor` is start, middle or end. */
export const label = (x, y, text, { anchor = 'start', size = 12, fill = '#1f2937', bold = false } = {}) =>
  tag(
    'text',
    { x, y, 'text-anchor': anchor, 'font-size': size, fill, ...(bold && { 'font-weight': 'bold' }) },
    quoted(text),
  )

export const line = (from, to, { stroke = '#d1d5db', width = 1 } = {}) =>
  tag('line', { x1: from.x, y1: from.y, x2: to.x, y2: to.y, stroke, 'stroke-width': width })

export const polyline = (points, stroke) =>
  tag('polyline', {
    points: points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' '),
    fill: 'none',
    stroke,
    'stroke-width': 2,
    'stroke-linejoin': 'round',
  })

/** A whole drawing on white, so that it can be read on dark pages too. */
export const drawing = ({ width, height }, parts) =>
  `${tag(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${width} ${height}`,
      width: String(width),
      height: String(height),
      'font-family': 'Helvetica, Arial, sans-serif',
    },
    tag('rect', { width: String(width), height: String(height), fill: '#ffffff' }),
    `\n${parts.join('\n')}\n`,
  )}\n`
