import type { Plugin } from '../../src/cni/plugin'
import { specVersions } from '../../src/cni/version'
import { add, check, del, gc, status } from './commands'

/** IPAM from address ranges of the node, the leases in files: the counterpart of the reference's host-local. */
export const plugin: Plugin = { name: 'host-local', versions: specVersions, add, check, del, gc, status }
