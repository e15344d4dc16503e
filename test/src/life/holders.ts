/** Who keeps network namespaces alive, seen while processes come and go. */
import { spawn } from 'node:child_process'
import t from 'tap'
import { findHolders } from '../../../src/life/holders'

t.test('a process that ends while it is looked at hides nothing', async t => {
  // Each has a mount namespace of its own, so that its mounts are read; most of those reads meet its end.
  const churn = spawn('timeout', ['3', 'sh', '-c', 'while :; do unshare --net --mount true; done'], {
    stdio: 'ignore',
  })
  const ended = new Promise(resolve => churn.on('close', resolve))
  const blind = new Set<string>()
  let looks = 0
  while (churn.exitCode === null) {
    const found = findHolders()
    if (found.blind !== undefined) blind.add(found.blind)
    looks++
    await new Promise(resolve => setImmediate(resolve))
  }
  await ended
  t.ok(looks > 20, `${looks} looks`)
  t.same([...blind], [])
})
