import type { Plugin } from '../../src/cni/plugin'
import { specVersions } from '../../src/cni/version'

/**
 * Connects containers to a bridge on the host: the counterpart of the reference's bridge. A call is of one verb, and
 * only that one's modules are loaded.
 */
export const plugin: Plugin = {
  name: 'bridge',
  versions: specVersions,
  add: async (call, undo) => (await import('./add.js')).add(call, undo),
  check: async call => (await import('./check.js')).check(call),
  del: async call => (await import('./del.js')).del(call),
  gc: async call => (await import('./gc.js')).gc(call),
  status: async call => (await import('./status.js')).status(call),
}
