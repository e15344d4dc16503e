import { parseArgs } from 'node:util'

export const usage = `Measures our plugins beside others, in private network namespaces.

  scripts/bench [options]

  --quick         few runs and pods, under a minute; prints, and writes nothing
  --case NAME     only this case (may be given again); prints, and writes nothing
  --runs N        how often each case is measured (default 30)
  --seconds N     how long a comparison may take; fewer runs are made, but 3 at least, if it would be longer
                  (default 10)
  --pods N        how many pods the curves go up to (default 500)
  --peer DIR      the only Go plugins to compare with (default: Debian stable's in /usr/lib/cni, and sid's)
  --dist DIR      the plugins to measure: a folder with standalone/ and node/ (default dist, built first)
  --store KIND    where leases are: disk or tmpfs (default disk; some cases have their own)
  --phases        the time of every step inside our plugins, by CNI_TRACE=1
  --json          prints the results as JSON instead of tables
  --out FILE      where the results go (default bench/results.json); makes --quick and --case write them too

A whole run also draws docs/bench.svg and renews the tables in bench/results.md.
Nothing fails on a time: it is a benchmark, not a test.
`

const number = (values, name, least) => {
  const value = Number(values[name])
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`--${name} "${values[name]}": not a whole number from ${least} on`)
  }
  return value
}

const spec = {
  quick: { type: 'boolean', default: false },
  case: { type: 'string', multiple: true },
  runs: { type: 'string' },
  pods: { type: 'string' },
  seconds: { type: 'string' },
  peer: { type: 'string' },
  dist: { type: 'string', default: 'dist' },
  store: { type: 'string', default: 'disk' },
  phases: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  out: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
}

/** Sizes of the store that host-local is measured at: the last nearly fills a /16. */
const leases = { quick: [0, 10_000], whole: [0, 1_000, 10_000, 30_000, 60_000] }

/** Reads the command line; throws what is wrong with it. */
export const readOptions = argv => {
  const { values } = parseArgs({ args: argv, options: spec })
  const { quick } = values
  if (values.store !== 'disk' && values.store !== 'tmpfs') {
    throw new Error(`--store "${values.store}": neither disk nor tmpfs`)
  }
  const filled = {
    ...values,
    runs: values.runs ?? (quick ? '5' : '30'),
    pods: values.pods ?? (quick ? '20' : '500'),
    seconds: values.seconds ?? (quick ? '1' : '10'),
  }
  return {
    ...filled,
    runs: number(filled, 'runs', 3),
    pods: number(filled, 'pods', 10),
    seconds: number(filled, 'seconds', 1),
    /** Rounds before the first that counts. */
    warmUp: quick ? 1 : 2,
    burst: quick ? 8 : 100,
    /** How many pods what looks at the whole node is measured with. */
    crowd: quick ? number(filled, 'pods', 10) : Math.max(1000, number(filled, 'pods', 10)),
    leases: quick ? leases.quick : leases.whole,
    /** A part of the cases must not replace the results of all. */
    whole: !quick && values.case === undefined,
  }
}
