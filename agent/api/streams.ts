/** The two streams of the API server, read while they arrive: the lines of a watch, and a list. */

/** etcd takes objects up to 1.5 MiB. */
const maxObjectBytes = 8 * 1024 * 1024

const lineEnd = 0x0a

/** A watch's stream: a JSON object a line, in chunks that end anywhere. */
export class LineReader {
  readonly #onLine: (line: unknown) => void
  #rest: Buffer[] = []
  #restBytes = 0

  /** `onLine` gets every line, parsed; empty ones are left out. */
  constructor(onLine: (line: unknown) => void) {
    this.#onLine = onLine
  }

  /** Reads on. Throws on a line that is not JSON, or longer than any event can be. */
  push(chunk: Buffer): void {
    let start = 0
    for (let end = chunk.indexOf(lineEnd); end >= 0; end = chunk.indexOf(lineEnd, start)) {
      this.#keep(chunk.subarray(start, end))
      start = end + 1
      const text = Buffer.concat(this.#rest).toString('utf8').trim()
      this.#rest = []
      this.#restBytes = 0
      if (text !== '') this.#onLine(JSON.parse(text))
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
  }

  #keep(part: Buffer): void {
    this.#restBytes += part.length
    if (this.#restBytes > maxObjectBytes)
      throw new Error(`a line of the watch is over ${maxObjectBytes} bytes`)
    this.#rest.push(part)
  }
}

const quote = 0x22
const comma = 0x2c
const backslash = 0x5c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/** Depth of the brackets around an item: the list's own, and those of "items". */
const itemDepth = 2

/**
 * A Kubernetes list read while it arrives. The list of a large cluster is tens of megabytes, of which a few bytes an
 * item are wanted: every item is parsed when its last byte is there, and its text is forgotten.
 *
 *   {"kind":"NodeList","metadata":{…},"items":[{…},{…}]}
 */
export class ListReader {
  readonly #onItem: (item: unknown) => void
  /** What of the present chunk belongs to the item, or else to the envelope, begins here. */
  #start = 0
  #depth = 0
  #inString = false
  #isEscaped = false
  #inItems = false
  /** The last string directly inside the list: its keys, among others. */
  #lastText = ''
  #textStart = 0
  #item: Buffer[] = []
  #itemBytes = 0
  readonly #envelope: Buffer[] = []

  /** `onItem` gets every element of "items", parsed. */
  constructor(onItem: (item: unknown) => void) {
    this.#onItem = onItem
  }

  /** Reads on. Throws on an item that is not JSON, or larger than any object can be. */
  push(chunk: Buffer): void {
    this.#start = 0
    this.#textStart = 0
    for (let i = 0; i < chunk.length; i++) {
      if (this.#inString) i = this.#skipString(chunk, i)
      else this.#step(chunk, i)
    }
    if (this.#isInItem) this.#keepItem(chunk.subarray(this.#start))
    else if (!this.#inItems) this.#envelope.push(Buffer.from(chunk.subarray(this.#start)))
    if (this.#inString && this.#depth === 1) this.#lastText += chunk.toString('latin1', this.#textStart)
  }

  /** The list without its items; throws if it did not end, or is not JSON. */
  end(): unknown {
    if (this.#depth !== 0) throw new Error('the list is incomplete')
    return JSON.parse(Buffer.concat(this.#envelope).toString('utf8'))
  }

  get #isInItem(): boolean {
    return this.#inItems && this.#depth > itemDepth
  }

  /** The place of the string's closing quote, or the chunk's last byte if it is not there yet. */
  #skipString(chunk: Buffer, from: number): number {
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i]
      if (this.#isEscaped) this.#isEscaped = false
      else if (byte === backslash) this.#isEscaped = true
      else if (byte === quote) {
        this.#inString = false
        if (this.#depth === 1) this.#lastText += chunk.toString('latin1', this.#textStart, i)
        return i
      }
    }
    return chunk.length
  }

  #step(chunk: Buffer, i: number): void {
    switch (chunk[i]) {
      case quote:
        this.#inString = true
        this.#textStart = i + 1
        this.#lastText = ''
        break
      case openBrace:
      case openBracket:
        this.#open(chunk, i)
        break
      case closeBrace:
      case closeBracket:
        this.#close(chunk, i)
        break
      case comma:
        if (this.#depth === 1) this.#lastText = ''
    }
  }

  #open(chunk: Buffer, i: number): void {
    if (this.#depth === 1 && chunk[i] === openBracket && this.#lastText === 'items') {
      this.#inItems = true
      this.#envelope.push(Buffer.from(chunk.subarray(this.#start, i + 1)))
    } else if (this.#inItems && this.#depth === itemDepth) this.#start = i
    this.#depth++
  }

  #close(chunk: Buffer, i: number): void {
    this.#depth--
    if (!this.#inItems) return
    if (this.#depth === itemDepth) {
      this.#keepItem(chunk.subarray(this.#start, i + 1))
      const text = Buffer.concat(this.#item).toString('utf8')
      this.#item = []
      this.#itemBytes = 0
      this.#onItem(JSON.parse(text))
    } else if (this.#depth < itemDepth) {
      this.#inItems = false
      this.#start = i
    }
  }

  #keepItem(part: Buffer): void {
    this.#itemBytes += part.length
    if (this.#itemBytes > maxObjectBytes)
      throw new Error(`an item of the list is over ${maxObjectBytes} bytes`)
    this.#item.push(part)
  }
}
