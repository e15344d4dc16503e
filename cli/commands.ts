import type { Command } from '../node/command/command'
import { agent } from './agent'
import { add, check, del } from './attachment'
import { completionCommand } from './completion/completion'
import { config } from './config'
import { doctor } from './doctor/doctor'
import { explain } from './explain'
import { gc } from './gc/gc'
import { init } from './init'
import { inspect } from './inspect/inspect'
import { install } from './install/install'
import { uninstall } from './install/uninstall'
import { helpCommand, manCommand } from './manual'
import { networks } from './networks'
import { plugins } from './plugins'
import { status } from './status'
import { sync } from './sync'
import { test } from './test'
import { trace } from './trace'
import { version } from './version'
import { watch } from './watch'
import { why } from './why/why'

const tree = (): readonly Command[] => commands

/** All subcommands, in the order the help has them within their groups. */
export const commands: readonly Command[] = [
  install,
  uninstall,
  config,
  explain,
  init,
  agent,
  watch,
  add,
  check,
  del,
  gc,
  sync,
  networks,
  status,
  plugins,
  inspect,
  doctor,
  test,
  why,
  trace,
  version,
  helpCommand(tree),
  completionCommand(tree),
  manCommand(tree),
]
