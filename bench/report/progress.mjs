import { writeSync } from 'node:fs'

const width = 24

const bar = share => '█'.repeat(Math.round(share * width)).padEnd(width, '·')

const clock = seconds => `${Math.floor(seconds / 60)}:${`${Math.floor(seconds % 60)}`.padStart(2, '0')}`

/** A progress bar on stderr; where that is no terminal, a line a case. */
export class Progress {
  #total = 0
  #done = 0
  #label = ''
  #begun = Date.now()
  #terminal = process.stderr.isTTY === true

  /** Announces work: how many ticks there will be in all. */
  plan(ticks) {
    this.#total += ticks
  }

  /** Names what is being done. */
  label(text) {
    this.#label = text
    if (this.#terminal) this.#draw()
    else writeSync(2, `${clock((Date.now() - this.#begun) / 1000)}  ${text}\n`)
  }

  tick(count = 1) {
    this.#done += count
    if (this.#terminal) this.#draw()
  }

  end() {
    if (this.#terminal) writeSync(2, '\r\x1b[K')
  }

  #draw() {
    const share = this.#total > 0 ? Math.min(1, this.#done / this.#total) : 0
    const elapsed = clock((Date.now() - this.#begun) / 1000)
    writeSync(2, `\r${bar(share)} ${Math.floor(share * 100)} %  ${elapsed}  ${this.#label}\x1b[K`)
  }
}
