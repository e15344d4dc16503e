import { platform } from '#platform'
import { CniError, ErrorCode } from '../src/cni/error'
import type { BuiltIns } from '../src/cni/plugin'
import { failMain, pluginMain } from '../src/cni/skel'
import { pluginsNamed } from './program-name'

/**
 * Every program of the project is this one, under another name. On Node.js a plugin's modules are
 * evaluated only when it is the one that was called.
 */
const builtIns: BuiltIns = new Map([
  ['bandwidth', async () => (await import('./bandwidth/main.js')).plugin],
  ['bridge', async () => (await import('./bridge/main.js')).plugin],
  ['host-local', async () => (await import('./host-local/main.js')).plugin],
  ['kubenet', async () => (await import('./kubenet/main.js')).plugin],
  ['loopback', async () => (await import('./loopback/main.js')).plugin],
  ['portmap', async () => (await import('./portmap/main.js')).plugin],
])

/** The program that is a command too where no runtime calls it. */
const commandName = 'kubenet'

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** The plugins this program may be by its names. Where a symbolic link tells nothing, the file it leads to may. */
const candidates = (): readonly string[] => {
  const plugins = [...builtIns.keys()]
  const called = pluginsNamed(platform.invokedAs, plugins)
  return called.length > 0 ? called : pluginsNamed(baseName(platform.programPath), plugins)
}

const unknownProgram = (found: readonly string[]): CniError => {
  const known = [...builtIns.keys()].join(', ')
  const { invokedAs } = platform
  if (found.length === 0)
    return new CniError(ErrorCode.invalidNetworkConfig, `no plugin of kubenet-cni is called "${invokedAs}"`, {
      details:
        `one file holds all plugins of kubenet-cni, and its name selects one: ${known}; ` +
        'the name of a copy must contain that name, as in "my-bridge" or "bridge-1.0"',
    })
  return new CniError(
    ErrorCode.invalidNetworkConfig,
    `"${invokedAs}" may be more than one plugin of kubenet-cni: ${found.join(', ')}`,
    { details: 'the name of the program selects the plugin; use a name that contains only one' },
  )
}

const main = async (): Promise<void> => {
  const found = candidates()
  const [name] = found
  const load = name === undefined || found.length > 1 ? undefined : builtIns.get(name)
  if (!load) throw unknownProgram(found)
  if (name === commandName && !process.env.CNI_COMMAND) {
    const { commandMain } = await import('../cli/main.js')
    await commandMain(builtIns)
  }
  await pluginMain(await load(), builtIns)
}

platform.onStart(() => void main().catch(failMain))
