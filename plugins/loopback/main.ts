import type { Plugin } from '../../src/cni/plugin'
import { specVersions } from '../../src/cni/version'
import { add, check, del, gc, status } from './commands'

/** Brings the loopback interface of a container up: the counterpart of the reference's loopback. */
export const plugin: Plugin = { name: 'loopback', versions: specVersions, add, check, del, gc, status }
