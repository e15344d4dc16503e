import { resolve } from 'node:path'
import { type Answer, command } from '../node/command/command'
import { CliError, ExitCode } from '../node/command/failure'
import type { CliIo } from '../node/command/io'
import { flag, text } from '../node/command/option'
import type { Style } from '../node/command/style'
import {
  acceptAdvertisements,
  applySysctls,
  bridgeIp6tables,
  bridgeIptables,
  dottedKey,
  forwarding4,
  forwarding6,
  type PlannedSysctl,
  planSysctls,
} from '../node/sysctls'
import { ensureModule, type ModuleAction, moduleName } from './frame/bridge-module'
import { formatTable } from './frame/table'

const wanted = () => [bridgeIptables, bridgeIp6tables, forwarding4, ...acceptAdvertisements(), forwarding6]

const actionText = ({ action, found }: PlannedSysctl, isDry: boolean, style: Style): string => {
  if (action === 'absent') return style.dim('not there')
  if (action === 'keep') return style.green('as it was')
  return style.yellow(isDry ? `would change, is ${found}` : `changed, was ${found}`)
}

const moduleText: Record<ModuleAction, string> = {
  loaded: 'loaded',
  load: 'would be loaded',
  keep: 'loaded before',
  missing: 'cannot be loaded',
}

const absentReasons: Record<string, string> = {
  [bridgeIptables.key]: `${moduleName} is missing`,
  [bridgeIp6tables.key]: `${moduleName} is missing`,
  [forwarding6.key]: 'this kernel has no IPv6',
}

/** Loads the module. If it is optional, its absence is a note. */
const loadModule = async (
  { dryRun, moduleOptional }: { readonly dryRun: boolean; readonly moduleOptional: boolean },
  io: CliIo,
): Promise<{ module: ModuleAction; notes: string[] }> => {
  try {
    return { module: await ensureModule(dryRun, io), notes: [] }
  } catch (error) {
    if (!moduleOptional || !(error instanceof CliError)) throw error
    const effect = 'containers cannot reach a service whose container is on the same bridge'
    return { module: 'missing', notes: [`${error.message}: ${effect}; ${error.remedy}`] }
  }
}

const report = (plan: readonly PlannedSysctl[], module: ModuleAction, isDry: boolean): Answer => ({
  json: {
    dryRun: isDry,
    module: { name: moduleName, action: module },
    sysctls: plan.map(({ key, value, found, action }) => ({
      key: dottedKey(key),
      value,
      ...(found !== undefined && { found }),
      action: action === 'change' && !isDry ? 'changed' : action,
    })),
  },
  text: style =>
    formatTable(
      [{ title: 'SETTING' }, { title: 'VALUE', align: 'right' }, { title: 'STATE' }, { title: 'FOR' }],
      [
        [moduleName, 'module', moduleText[module], 'iptables sees what a bridge forwards'],
        ...plan.map(entry => [
          dottedKey(entry.key),
          entry.value,
          actionText(entry, isDry, style),
          entry.action === 'absent' ? (absentReasons[entry.key] ?? '') : entry.why,
        ]),
      ],
      style,
    ),
})

/** A sysctl that appears with the module is not absent for good. */
const expectBridgeKeys = (plan: readonly PlannedSysctl[], module: ModuleAction): PlannedSysctl[] =>
  plan.map(entry =>
    module === 'load' && entry.key.startsWith('net/bridge/')
      ? { ...entry, found: 'not there yet', action: 'change' }
      : entry,
  )

/** Sets the sysctls, and looks whether this host has them now: a mounted folder may be anything. */
const setAll = (plan: readonly PlannedSysctl[], folder: string | undefined): void => {
  applySysctls(plan, folder)
  const missed = planSysctls(plan).find(({ action }) => action === 'change')
  if (!missed) return
  throw new CliError(
    ExitCode.failed,
    `${dottedKey(missed.key)} is ${missed.found} after it was set to ${missed.value}`,
    folder && `mount /proc/sys/net of the host at ${folder}/net, and use the host's network`,
  )
}

export const init = command({
  name: 'init',
  group: 'Set up a node',
  summary: 'load br_netfilter and set the sysctls that pods need',
  about: [
    'Loads br_netfilter, makes bridged traffic pass iptables and turns on forwarding for both families, ' +
      'as kubelet did. Interfaces keep routes of router advertisements. Run it at every boot, before the ' +
      'runtime starts.',
  ],
  options: {
    dryRun: flag('only print what would change'),
    moduleOptional: flag('continue if br_netfilter cannot be loaded'),
    sysctlDir: text('folder', "where the host's /proc/sys is mounted, in a container (default: /proc/sys)", {
      completes: 'folder',
    }),
  },
  examples: [
    { line: 'kubenet init', does: 'prepare this node' },
    { line: 'kubenet init --dry-run --json', does: 'missing settings, as JSON' },
  ],
  run: async ({ options: { dryRun, moduleOptional, sysctlDir }, io }) => {
    const { module, notes } = await loadModule({ dryRun, moduleOptional }, io)
    const plan = expectBridgeKeys(planSysctls(wanted()), module)
    if (!dryRun) setAll(plan, sysctlDir && resolve(io.cwd, sysctlDir))
    return { ...report(plan, module, dryRun), notes }
  },
})
