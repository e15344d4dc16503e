/** Has a node rebuilt whenever the kernel announces that something of its pods was taken. */
import { untilInterrupted } from '../../src/host/interrupt'
import type { EventSocket } from '../../src/netlink/event-socket'
import { NETLINK_ROUTE, NetlinkSocket, type Reply } from '../../src/netlink/socket'
import { type Loss, lossOf, openAnnouncements } from './announcements'

/** One who flushes rules has not finished when the first of them is announced. */
const lostDelayMs = 50
/** A DEL takes part of a second from the first rule it deletes to the interface; what is then missing was taken. */
const touchedDelayMs = 1500
/** Where pods come and go, looks that find nothing take at most this part of the time. */
const busyPart = 0.1
/** Who takes what is brought back, again and again, is not fought with all a node has. */
const fightRounds = 10
const fightMs = 60_000
const fightPauseMs = 30_000

type Watching = {
  /**
   * Looks at all pods and brings back what is missing; answers how many pods lacked something. `why` is what was
   * announced, "" if it only is time again.
   */
  readonly rebuild: (why: string) => Promise<number>
  readonly say: (text: string) => void
  /** How often everything is looked at without an announcement, for what the kernel does not announce. */
  readonly intervalMs: number
}

/** When to look at the pods next, and why. */
class Schedule {
  #due: number
  #why = ''
  #earliest = 0
  #wake: () => void = () => {}
  #hurry: () => void = () => {}

  constructor() {
    this.#due = performance.now()
  }

  /** A look is due so long from now, if not before. */
  request(delayMs: number, why: string): void {
    const due = Math.max(performance.now() + delayMs, this.#earliest)
    if (due >= this.#due) return
    this.#due = due
    this.#why = why
    this.#wake()
    if (delayMs <= lostDelayMs) this.#hurry()
  }

  /** Resolves when something is lost that has to be back without delay. */
  hurried(): Promise<void> {
    return new Promise(resolve => {
      this.#hurry = resolve
    })
  }

  /** After a look: the next one is due then, or as was requested meanwhile, but not before `earliest`. */
  next(due: number, earliest: number): void {
    this.#due = Math.max(Math.min(this.#due, due), earliest)
    this.#earliest = earliest
  }

  /** Waits until a look is due; answers why it is, "" if it only is time again. */
  async wait(): Promise<string> {
    while (this.#due > performance.now()) {
      await new Promise<void>(resolve => {
        // Announcements that wake it earlier may never come.
        const timer = setTimeout(resolve, this.#due - performance.now())
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    const why = this.#why
    this.#due = Number.POSITIVE_INFINITY
    this.#why = ''
    return why
  }
}

const delays: Record<Loss['kind'], number> = { lost: lostDelayMs, touched: touchedDelayMs }

/** The loss in an announcement. One that cannot be read, which no kernel sends, gives rise to a look and ends nothing. */
const lossIn = (nl: NetlinkSocket, reply: Reply): Loss | undefined => {
  try {
    return lossOf(nl, reply)
  } catch {
    return { kind: 'touched', what: 'a kernel notification could not be read' }
  }
}

/** Hears one socket's announcements for ever. */
const listen = async (socket: EventSocket, nl: NetlinkSocket, schedule: Schedule): Promise<never> => {
  for (;;) {
    const replies = await socket.upcoming('listen for kernel notifications')
    if (!replies) schedule.request(touchedDelayMs, 'kernel notifications were lost')
    for (const reply of replies ?? []) {
      const loss = lossIn(nl, reply)
      if (loss) schedule.request(delays[loss.kind], loss.what)
    }
  }
}

/** A round watches for DELs when its work is done; one more may begin meanwhile. */
const mostRounds = 2

/** Looks whenever the schedule says so, for ever. What is lost while a round is under way does not wait for its end. */
const rebuildAgainAndAgain = async (
  schedule: Schedule,
  { rebuild, say, intervalMs }: Watching,
): Promise<never> => {
  let rounds: number[] = []
  const look = async (why: string): Promise<void> => {
    const began = performance.now()
    const rebuilt = await rebuild(why)
    const ended = performance.now()
    rounds = [...rounds, ...(rebuilt > 0 ? [ended] : [])].filter(at => at > ended - fightMs)
    const isFight = rounds.length > fightRounds
    if (isFight) say(`something takes it again and again: the next look is in ${fightPauseMs / 1000} s`)
    const inVainMs = rebuilt === 0 ? (ended - began) * (1 / busyPart - 1) : 0
    schedule.next(ended + intervalMs, ended + (isFight ? fightPauseMs : inVainMs))
  }
  const running = new Set<Promise<void>>()
  for (;;) {
    const why = await schedule.wait()
    const round = look(why).finally(() => running.delete(round))
    running.add(round)
    await Promise.race([...running, ...(running.size < mostRounds ? [schedule.hurried()] : [])])
  }
}

/** Watches this node until a signal ends the process. */
export const watchNode = async (watching: Watching): Promise<void> => {
  // Opened before the first look: nothing that is taken after it goes unheard.
  const sockets = openAnnouncements()
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  const schedule = new Schedule()
  await Promise.race([
    untilInterrupted(),
    rebuildAgainAndAgain(schedule, watching),
    ...sockets.map(socket => listen(socket, nl, schedule)),
  ])
}
