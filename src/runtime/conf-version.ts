import { CniError, ErrorCode } from '../cni/error'
import type { JsonObject } from '../cni/schema'
import { type SpecVersion, specVersions } from '../cni/version'

/** "1.1.0" and whatever a later specification may be called. */
const versionForm = /^\d+(\.\d+){0,2}$/

/**
 * The versions a network's `cniVersion` and `cniVersions` allow, those of the future left out, oldest first: the last
 * is the one to use. SPEC.md, "Version considerations". Throws code 1 if none is known, code 7 for what is no version.
 */
export const confVersions = (raw: JsonObject, where: string): [SpecVersion, ...SpecVersion[]] => {
  const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, `${where}: ${message}`)
  const { cniVersion = '', cniVersions = [] } = raw
  if (typeof cniVersion !== 'string') {
    throw invalid(`cniVersion is not a string: ${JSON.stringify(cniVersion)}`)
  }
  if (!Array.isArray(cniVersions)) {
    throw invalid(`cniVersions is not a list: ${JSON.stringify(cniVersions)}`)
  }
  const listed: unknown[] = cniVersion ? [...cniVersions, cniVersion] : cniVersions
  for (const version of listed) {
    if (typeof version !== 'string' || !versionForm.test(version)) {
      throw invalid(`not a CNI version: ${JSON.stringify(version)}`)
    }
  }
  // A configuration without either key is from before there was one.
  const asked = listed.length > 0 ? listed : ['0.1.0']
  const [oldest, ...newer] = specVersions.filter(version => asked.includes(version))
  if (oldest) return [oldest, ...newer]
  throw new CniError(
    ErrorCode.incompatibleVersion,
    `${where}: unknown CNI version ${asked.map(version => JSON.stringify(version)).join(', ')}`,
    { details: `the versions known are ${specVersions.join(', ')}` },
  )
}
