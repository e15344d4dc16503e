/** Numbers as tables, pictures and sentences show them. */

const digits = 3

/** Three digits and a unit, which is the next larger one from 1000 on. */
const scaled = (value: number, units: readonly string[]): string => {
  let rest = value
  let unit = 0
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000
    unit++
  }
  const text = unit === 0 ? String(Math.round(rest)) : String(Number(rest.toPrecision(digits)))
  return `${text}${units[unit]}`
}

/** Bytes in powers of 1000: "0 B", "1.23 kB". */
export const formatBytes = (bytes: number): string => scaled(bytes, [' B', ' kB', ' MB', ' GB', ' TB', ' PB'])

/** Bits a second, as tc writes them: "10M", "1.5G". */
export const formatBits = (bits: number): string => scaled(bits, ['', 'k', 'M', 'G', 'T'])

const units: readonly (readonly [ms: number, name: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1000, 's'],
]

/** A time span by its two largest units: "3d4h", "5m10s", "0s". */
export const formatAge = (ms: number): string => {
  const first = units.findIndex(([unit]) => ms >= unit)
  if (first < 0) return '0s'
  const [large = 1000, name = 's'] = units[first] ?? []
  const [small, smallName] = units[first + 1] ?? []
  const rest = small === undefined ? 0 : Math.floor((ms % large) / small)
  return `${Math.floor(ms / large)}${name}${rest > 0 ? `${rest}${smallName}` : ''}`
}

/** "1 container", "2 containers". */
export const count = (number: number, noun: string, plural = `${noun}s`): string =>
  `${number} ${number === 1 ? noun : plural}`

/** A moment, in milliseconds since the epoch, in the form of ISO 8601. */
export const formatTime = (ms: number): string => new Date(ms).toISOString()
