import type { Plugin } from '../../src/cni/plugin'
import { specVersions } from '../../src/cni/version'
import { add } from './add'
import { check } from './check'
import { del } from './del'
import { gc } from './gc'
import { status } from './status'

/** Connects containers to a bridge on the host: the counterpart of the reference's bridge. */
export const plugin: Plugin = { name: 'bridge', versions: specVersions, add, check, del, gc, status }
