import type { Plugin } from '../../src/cni/plugin'
import { specVersions } from '../../src/cni/version'

/**
 * A whole pod in one process: what kubelet's kubenet did with three plugins and its own code. A call is of one verb, and
 * only that one's modules are loaded.
 */
export const plugin: Plugin = {
  name: 'kubenet',
  versions: specVersions,
  add: async (call, undo) => (await import('./add.js')).add(call, undo),
  check: async call => (await import('./check.js')).check(call),
  del: async call => (await import('./del.js')).del(call),
  gc: async call => (await import('./gc.js')).gc(call),
  status: async call => (await import('./status.js')).status(call),
}
