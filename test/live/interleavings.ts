/**
 * No live pod loses anything to other calls: random walks of calls that run at once. After each round, when no
 * call runs, who is attached has all it was given, and nothing is left of others.
 *
 * The short form tries the same few walks each time; in the long form every walk is another. A failure prints the seed
 * and the shortest history that fails too. KUBENET_WALK_SEED=N tries one walk.
 */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type Flavour, flavours } from '../fixtures/cni'
import { endsAt, extent, isSoak, isTimeUp, tellSoak } from '../fixtures/extent'
import { Driver } from '../fixtures/interleavings/driver'
import { Life, WalkNode } from '../fixtures/interleavings/node'
import { shorten } from '../fixtures/interleavings/shorten'
import { brokenStatements } from '../fixtures/interleavings/statements'
import { type Walk, walks, walkWords } from '../fixtures/interleavings/walk'

const { KUBENET_WALK_SEED } = process.env

const rounds = extent(4, 8)

/** What is tried at once: half of the time of a call is the kernel's. */
const workers = 2

/** How long a walk that fails is made shorter. */
const shorteningMs = KUBENET_WALK_SEED ? 200_000 : extent(60_000, 900_000)

/** The same walk does not fail each time: so often one is tried that is to be shorter. */
const tries = 3

/** The kernel takes namespaces apart in its own time, and a loaded machine sends packets in its own. */
const patienceMs = 20_000
const shorterPatienceMs = 8_000

/** What does not hold in a walk, and in which of its rounds that was seen. */
type Broken = { readonly said: string; readonly round: number }

/** What was done in all walks, those that were made shorter included. */
const done = { calls: 0, quietPoints: 0 }

/** Walks once; answers what does not hold, undefined if all does. */
const attempt = async (walk: Walk, flavour: Flavour, patienceMs: number): Promise<Broken | undefined> => {
  const life = new Life()
  let driver: Driver | undefined
  try {
    const node = await WalkNode.create(life, flavour)
    driver = new Driver(node)
    for (const [index, round] of [...walk, undefined].entries()) {
      const when = round ? `in round ${index + 1}` : 'when all were deleted'
      const failure = await (round ? driver.round(round) : driver.end()).then(
        () => undefined,
        (error: unknown) => error,
      )
      done.quietPoints += 1
      // What a call did that failed is looked at too.
      const broken = [
        ...(failure ? [String(failure)] : []),
        ...(await brokenStatements(node, driver.model, failure ? 0 : patienceMs)),
      ]
      if (broken.length === 0) continue
      const history = driver.history.join('\n')
      return { said: `${when}:\n  ${broken.join('\n  ')}\nwhat was called:\n${history}`, round: index }
    }
    return undefined
  } finally {
    done.calls += driver?.calls ?? 0
    await life.end()
  }
}

/** Tries the walk of a seed; answers what to print if it fails. */
const failureOf = async (seed: number, flavour: Flavour): Promise<string | undefined> => {
  const [walk = []] = fc.sample(walks(rounds), { seed, numRuns: 1 })
  const broken = await attempt(walk, flavour, patienceMs)
  if (!broken) return undefined
  const shorter = await shorten(
    { walk: walk.slice(0, broken.round + 1), said: broken.said },
    {
      attempt: async candidate => (await attempt(candidate, flavour, shorterPatienceMs))?.said,
      until: Math.min(Date.now() + shorteningMs, endsAt),
      tries,
    },
  )
  return [
    `KUBENET_WALK_SEED=${seed} KUBENET_TEST_FLAVOUR=${flavour} walks so again; made shorter ${shorter.times} times:`,
    walkWords(shorter.walk),
    shorter.said,
  ].join('\n')
}

const [first = 'standalone', second = first] = flavours

/** The walks to try: most with one kind of executable, as calls of the other take longer. */
const planned = function* (): Generator<{ seed: number; flavour: Flavour }> {
  if (KUBENET_WALK_SEED) return yield { seed: Number(KUBENET_WALK_SEED), flavour: first }
  const start = extent(4711, Date.now() % 2 ** 31)
  const length = extent(5, Number.POSITIVE_INFINITY)
  for (let n = 0; n < length && !(isSoak && isTimeUp()); n++) {
    yield { seed: start + n, flavour: n % 5 === 4 ? second : first }
  }
}

t.test('random walks of calls that run at once', async t => {
  const plan = planned()
  let walked = 0
  const work = async (t: Test) => {
    for (const { seed, flavour } of plan) {
      const failure = await failureOf(seed, flavour)
      walked += 1
      const words = `[${flavour}] the walk of seed ${seed}`
      if (failure) t.fail(words, { diff: failure })
      else t.pass(words)
    }
  }
  await Promise.all(Array.from({ length: workers }, () => work(t)))
  tellSoak(
    `${walked} walks of up to ${rounds} rounds, ${done.calls} calls, looked at ${done.quietPoints} times when none ran`,
  )
})
