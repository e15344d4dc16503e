/** br_netfilter, by which iptables sees what a bridge forwards. */

import { CliError, ExitCode } from '../../node/command/failure'
import type { CliIo } from '../../node/command/io'
import { hasBridgeNetfilter, modprobe } from '../../node/sysctls'
import { exec } from '../../src/host/exec'
import { requestModule } from '../../src/host/module'
import { isFrom } from '../../src/host/system-error'
import { withProgress } from './progress'

/** The planned or finished change of the module. */
export type ModuleAction = 'loaded' | 'load' | 'keep' | 'missing'

export const moduleName = 'br_netfilter'

const withoutModule = (why: string): CliError =>
  new CliError(
    ExitCode.failed,
    `the kernel's ${moduleName} is not there and ${why}`,
    `load it on the node itself ("modprobe ${moduleName}"), or boot a kernel that has it`,
  )

/** Loads br_netfilter where the kernel does not have it. Throws if it cannot be loaded. */
export const ensureModule = async (isDry: boolean, io: CliIo): Promise<ModuleAction> => {
  if (hasBridgeNetfilter()) return 'keep'
  if (isDry) return 'load'
  const program = modprobe(io.env.PATH)
  if (!program) {
    requestModule(moduleName)
    if (hasBridgeNetfilter()) return 'loaded'
    throw withoutModule('there is no modprobe to load it with, and the kernel did not load it when asked')
  }
  try {
    await withProgress(io, `loading ${moduleName}`, () => exec([program, moduleName]))
  } catch (error) {
    if (!isFrom(error, 'program')) throw error
    throw withoutModule(`cannot be loaded: ${error.details || error.message}`)
  }
  if (!hasBridgeNetfilter()) throw withoutModule('loading it changed nothing')
  return 'loaded'
}
