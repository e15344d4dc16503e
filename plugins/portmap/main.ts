import type { Plugin } from '../../src/cni/plugin'
import { specVersions } from '../../src/cni/version'
import { add, check, del, gc, status } from './commands'

/** Leads ports of the host to ports of a container: the counterpart of the reference's portmap. */
export const plugin: Plugin = { name: 'portmap', versions: specVersions, add, check, del, gc, status }
