import { runAll } from '../cni/error'
import { atLeast } from '../cni/version'
import type { NetworkConfigList } from './conf-list'
import { formatRequestConf } from './request-conf'
import { type RuntimeOptions, runPlugin } from './run-plugin'

/**
 * Is the network ready for containers? Calls STATUS of every plugin and throws all failures joined, with the code of
 * the first. Before 1.1.0 there is nothing to ask and the answer is yes.
 */
export const statusNetworkList = async (list: NetworkConfigList, options: RuntimeOptions): Promise<void> => {
  if (!atLeast(list.cniVersion, '1.1.0')) return
  await runAll(
    list.plugins.map(plugin => async () => {
      await runPlugin({ verb: 'STATUS', plugin, stdin: formatRequestConf(list, plugin, {}) }, options)
    }),
  )
}
