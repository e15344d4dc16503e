/** etcd takes objects up to 1.5 MiB. */
export const maxObjectBytes = 8 * 1024 * 1024

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
