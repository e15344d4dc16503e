import { platform } from '#platform'
import { processIo } from '../node/command/process-io'
import type { BuiltIns } from '../src/cni/plugin'
import { answerCall } from '../src/cni/skel'
import { watchForInterrupts } from '../src/host/interrupt'
import { cliMain } from './main'

/** What the plugin says on standard error when nobody calls it. */
const introduce = async (builtIns: BuiltIns): Promise<string> => {
  const load = builtIns.get('kubenet')
  return load ? (await answerCall(await load(), builtIns, {}, () => '')).stderr : ''
}

/** Runs the command line as this process, which ends with it; `builtIns` are the plugins that this program is. */
export const commandMain = async (builtIns: BuiltIns): Promise<never> => {
  watchForInterrupts()
  const io = processIo([...builtIns.keys()])
  platform.exit(await cliMain(platform.args, io, () => introduce(builtIns)))
}
