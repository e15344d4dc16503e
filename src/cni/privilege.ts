import { missingCapabilities } from '../host/capability'
import { CniError, ErrorCode } from './error'

/** Throws code 50 unless this process may enter a container's network namespace and change what is in it. */
export const requirePrivilege = (plugin: string): void => {
  const missing = missingCapabilities(['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'])
  if (missing.length === 0) return
  throw new CniError(
    ErrorCode.pluginNotAvailable,
    `${plugin}: this process may not change the network of containers`,
    { details: `it lacks ${missing.join(' and ')}; run the container runtime as root` },
  )
}
