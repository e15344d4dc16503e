import { endStep } from '../host/steps'
import { undoOnFailure } from '../host/undo'
import type { Command } from './args'
import type { Call, Plugin } from './plugin'
import type { Result } from './result'

/**
 * Runs one verb of a plugin. Only ADD has a result, which goes to `deliver`; an ADD that fails, or whose result
 * can't be delivered, takes back what it did.
 */
export const runCommand = async (
  plugin: Plugin,
  command: Exclude<Command, 'VERSION'>,
  call: Call,
  deliver: (result: Result) => void,
): Promise<void> => {
  switch (command) {
    case 'ADD':
      await undoOnFailure(async undo => {
        const result = await plugin.add(call, undo)
        endStep(`${plugin.name} ADD`)
        deliver(result)
      })
      return
    case 'CHECK':
      await plugin.check(call)
      break
    case 'DEL':
      await plugin.del(call)
      break
    case 'GC':
      await plugin.gc(call)
      break
    case 'STATUS':
      await plugin.status(call)
      break
  }
  endStep(`${plugin.name} ${command}`)
}
