/**
 * No live pod loses anything, whoever runs beside it: random walks of calls that run at once. After each round, when no
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
import { brokenStatements } from '../fixtures/interleavings/statements'
import { type Walk, walks, walkWords } from '../fixtures/interleavings/walk'

const { KUBENET_WALK_SEED } = process.env

const rounds = extent(4, 8)

/** What is tried at once: half of the time of a call is the kernel's. */
const workers = 2

/** How long a walk that fails is made shorter. */
const shrinkingMs = extent(90_000, 900_000)

/** The same walk does not fail each time: so often one is tried that is to be shorter. */
const tries = 3

class Broken extends Error {}

/** Walks once; throws with the history what does not hold. */
const tryWalk = async (walk: Walk, flavour: Flavour): Promise<void> => {
  const life = new Life()
  try {
    const node = await WalkNode.create(life, flavour)
    const driver = new Driver(node)
    const fail = (what: string) => new Broken(`${what}\nwhat was called:\n${driver.history.join('\n')}`)
    const hold = async (when: string) => {
      const broken = await brokenStatements(node, driver.model)
      if (broken.length > 0) throw fail(`${when}:\n  ${broken.join('\n  ')}`)
    }
    try {
      for (const [index, round] of walk.entries()) {
        await driver.round(round)
        await hold(`after round ${index + 1}`)
      }
      await driver.end()
      await hold('when all were deleted')
    } catch (error) {
      throw error instanceof Broken ? error : fail(String(error))
    }
  } finally {
    await life.end()
  }
}

/** Tries the walk of a seed; answers what to print if it fails. */
const failureOf = async (seed: number, flavour: Flavour): Promise<string | undefined> => {
  let shrinksUntil: number | undefined
  const property = fc.asyncProperty(walks(rounds), async walk => {
    if (shrinksUntil === undefined) {
      try {
        await tryWalk(walk, flavour)
      } catch (error) {
        shrinksUntil = Date.now() + shrinkingMs
        throw error
      }
      return
    }
    for (let time = 0; time < tries && Date.now() < Math.min(shrinksUntil, endsAt); time++) {
      await tryWalk(walk, flavour)
    }
  })
  const { failed, counterexample, errorInstance, numShrinks } = await fc.check(property, {
    ...{ seed, numRuns: 1, unbiased: true },
  })
  if (!failed) return undefined
  const [walk = []] = counterexample ?? []
  return [
    `KUBENET_WALK_SEED=${seed} KUBENET_TEST_FLAVOUR=${flavour} repeats this walk; made shorter ${numShrinks} times:`,
    walkWords(walk),
    errorInstance instanceof Error ? errorInstance.message : String(errorInstance),
  ].join('\n')
}

const [first = 'standalone', second = first] = flavours

/** The walks to try: most with one kind of executable, as calls of the other take longer. */
const planned = function* (): Generator<{ seed: number; flavour: Flavour }> {
  if (KUBENET_WALK_SEED) return yield { seed: Number(KUBENET_WALK_SEED), flavour: first }
  const start = extent(4711, Date.now() % 2 ** 31)
  const length = extent(6, Number.POSITIVE_INFINITY)
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
      t.equal(failure, undefined, failure ?? `[${flavour}] seed ${seed}`)
    }
  }
  await Promise.all(Array.from({ length: workers }, () => work(t)))
  tellSoak(`${walked} walks of up to ${rounds} rounds`)
})
