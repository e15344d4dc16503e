import { add } from './add'
import { agent } from './agent'
import { check } from './check'
import type { Command } from './command'
import { completionCommand } from './completion'
import { config } from './config'
import { del } from './del'
import { doctor } from './doctor'
import { gc } from './gc'
import { helpCommand } from './help-command'
import { init } from './init'
import { inspect } from './inspect'
import { install } from './install'
import { manCommand } from './man-command'
import { networks } from './networks'
import { plugins } from './plugins'
import { status } from './status'
import { sync } from './sync'
import { trace } from './trace'
import { version } from './version'
import { why } from './why'

const tree = (): readonly Command[] => commands

/** All subcommands, in the order the help has them within their groups. */
export const commands: readonly Command[] = [
  install,
  config,
  init,
  agent,
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
  why,
  trace,
  version,
  helpCommand(tree),
  completionCommand(tree),
  manCommand(tree),
]
