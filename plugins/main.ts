import { platform } from '#platform'
import { CniError, ErrorCode } from '../src/cni/error'
import type { BuiltIns } from '../src/cni/plugin'
import { failMain, pluginMain } from '../src/cni/skel'

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

/** The program that is a command too where no runtime calls it; whatever follows its name is not looked at. */
const commandName = 'kubenet'

const main = async (): Promise<void> => {
  const name = platform.invokedAs.startsWith(commandName) ? commandName : platform.invokedAs
  if (name === commandName && !process.env.CNI_COMMAND) {
    const { commandMain } = await import('../cli/process.js')
    await commandMain(builtIns)
  }
  const load = builtIns.get(name)
  if (!load) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `no plugin of kubenet-cni is called "${name}"`, {
      details: `a program of kubenet-cni is what its file is called: ${[...builtIns.keys()].join(', ')}`,
    })
  }
  await pluginMain(await load(), builtIns)
}

platform.onStart(() => void main().catch(failMain))
