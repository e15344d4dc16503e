/**
 * A few checks on the oldest and the newest kernel that Debian has: the plugins by nftables and by iptables. All checks,
 * on all kernels: scripts/kernels.
 */
import t, { type Test } from 'tap'
import type { Arch } from '../fixtures/debian/apt'
import { type Kernel, kernelOf, suites } from '../fixtures/kernels/debian'
import { guestMissing } from '../fixtures/kernels/guest'
import { tryBoot } from '../fixtures/kernels/report'

const arch: Arch = process.arch === 'arm64' ? 'arm64' : 'x64'

/** The kernel of a suite. Where apt cannot fetch it, `t` is skipped, and says why. */
const fetched = (t: Test, suite: string): Kernel | undefined => {
  try {
    return kernelOf(suite, arch)
  } catch (error) {
    t.pass('', {
      skip: `no kernel of ${suite} can be fetched: ${error instanceof Error ? error.message : error}`,
    })
    return undefined
  }
}

const missing = guestMissing(arch)

for (const suite of [suites[0], suites[suites.length - 1]]) {
  t.test(`the kernel of Debian's ${suite}`, missing ? { skip: missing } : {}, async t => {
    const kernel = fetched(t, suite ?? '')
    if (!kernel) return
    for (const { check, outcome, words } of await tryBoot(
      kernel,
      { name: 'short', script: 'short.sh' },
      { timeoutMs: 500_000 },
    ))
      t.equal(outcome, 'ok', `${kernel.release}, ${check}`, { words })
  })
}
