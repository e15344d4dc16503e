import type { Plugin } from '../../src/cni/plugin'
import { specVersions } from '../../src/cni/version'
import { add } from './add'
import { check } from './check'
import { del } from './del'
import { gc } from './gc'
import { status } from './status'

/** A whole pod in one process: what kubelet's kubenet did with three plugins and its own code. */
export const plugin: Plugin = {
  name: 'kubenet',
  versions: specVersions,
  add,
  check,
  del,
  gc,
  status,
}
