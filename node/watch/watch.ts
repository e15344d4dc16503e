/** Has a node rebuilt whenever the kernel announces that something of its pods was taken. */
import { untilInterrupted } from '../../src/host/interrupt'
import type { EventSocket } from '../../src/netlink/event-socket'
import { NETLINK_ROUTE, NetlinkSocket, type Reply } from '../../src/netlink/socket'
import { type Loss, lossOf, openAnnouncements } from './announcements'
import { type Due, Schedule } from './schedule'

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
    if (!replies) schedule.request('touched', 'kernel notifications were lost')
    for (const reply of replies ?? []) {
      const loss = lossIn(nl, reply)
      if (loss) schedule.request(loss.kind, loss.what)
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
  const look = async ({ kind, why }: Due): Promise<void> => {
    const began = performance.now()
    const rebuilt = await rebuild(why)
    const ended = performance.now()
    rounds = [...rounds, ...(rebuilt > 0 ? [ended] : [])].filter(at => at > ended - fightMs)
    const isFight = rounds.length > fightRounds
    if (isFight) say(`something takes it again and again: the next look is in ${fightPauseMs / 1000} s`)
    const inVainMs = rebuilt === 0 ? (ended - began) * (1 / busyPart - 1) : 0
    const earliest = ended + (isFight ? fightPauseMs : inVainMs)
    // What is lost waits only for looks in vain that were for a loss: those of pods that come and go do not delay it.
    schedule.next(ended + intervalMs, { touched: earliest, lost: isFight || kind === 'lost' ? earliest : 0 })
  }
  const running = new Set<Promise<void>>()
  for (;;) {
    const due = await schedule.wait()
    const round = look(due).finally(() => running.delete(round))
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
