import type { Plugin } from '../../src/cni/plugin'
import { specVersions } from '../../src/cni/version'
import { add } from './add'
import { check } from './check'
import { del } from './del'
import { gc } from './gc'
import { status } from './status'

/** Leads ports of the host to ports of a container: the counterpart of the reference's portmap. */
export const plugin: Plugin = { name: 'portmap', versions: specVersions, add, check, del, gc, status }
