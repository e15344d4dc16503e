import { CniError, ErrorCode } from '../cni/error'
import { isJsonObject } from '../cni/schema'
import type { PluginConf } from './plugin-conf'

/** Does a DEL or GC of the plugin give addresses back? kubenet does, and whatever has an IPAM plugin. */
const givesAddressesBack = ({ type, raw }: PluginConf): boolean =>
  type === 'kubenet' ||
  Object.entries(raw).some(
    ([key, value]) => key.toLowerCase() === 'ipam' && isJsonObject(value) && Object.keys(value).length > 0,
  )

const keptBack = ({ type }: PluginConf): CniError =>
  new CniError(ErrorCode.tryAgainLater, `plugin type="${type}" was not called, to keep the addresses`, {
    details:
      'rules of the plugin that failed may still lead to them; once that is put right, call the same again',
  })

/**
 * Calls plugins of a list in reverse order, also when one fails, and throws all failures joined. But once one has
 * failed no plugin is called that gives addresses back: another container would get what still is sent to them.
 */
export const callInReverse = async (
  plugins: readonly PluginConf[],
  call: (plugin: PluginConf) => Promise<void>,
): Promise<void> => {
  const failures: unknown[] = []
  for (const plugin of plugins.toReversed()) {
    try {
      if (failures.length > 0 && givesAddressesBack(plugin)) throw keptBack(plugin)
      await call(plugin)
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw CniError.join(failures)
}
