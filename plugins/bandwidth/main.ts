import type { Plugin } from '../../src/cni/plugin'
import { atLeast, specVersions } from '../../src/cni/version'
import { add } from './add'
import { check } from './check'
import { del } from './del'
import { gc } from './gc'
import { status } from './status'

/** Limits the rates of a container's interface: the counterpart of the reference's bandwidth. */
export const plugin: Plugin = {
  name: 'bandwidth',
  // A chained plugin needs results that list interfaces, which came with 0.3.0.
  versions: specVersions.filter(version => atLeast(version, '0.3.0')),
  add,
  check,
  del,
  gc,
  status,
}
