import { CniError, ErrorCode, shorten } from './error'

/** Every version of the specification, oldest first. */
export const specVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const

export type SpecVersion = (typeof specVersions)[number]

/** The version the project thinks in; results of all others are converted from and to it. */
export const currentVersion: SpecVersion = '1.1.0'

export const isSpecVersion = (text: string): text is SpecVersion =>
  (specVersions as readonly string[]).includes(text)

/** Is `version` at least `least`? */
export const atLeast = (version: SpecVersion, least: SpecVersion): boolean =>
  specVersions.indexOf(version) >= specVersions.indexOf(least)

/** The first version of the specification that has each verb: SPEC.md, section 2. */
const introducedIn: Record<string, SpecVersion> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' }

/** The configuration's version, if this plugin supports it and it has the verb; throws code 1 otherwise. */
export const negotiateVersion = (
  configured: string,
  command: string,
  supported: readonly SpecVersion[],
): SpecVersion => {
  // A configuration without the key is from before there was one: SPEC.md up to 0.2.0.
  const version = configured || '0.1.0'
  const since = introducedIn[command]
  if (isSpecVersion(version) && since && !atLeast(version, since)) {
    throw new CniError(ErrorCode.incompatibleVersion, `config version does not allow ${command}`, {
      details: `cniVersion is ${version}, ${command} exists since ${since}`,
    })
  }
  if (!isSpecVersion(version) || !supported.includes(version)) {
    throw new CniError(ErrorCode.incompatibleVersion, 'incompatible CNI versions', {
      details: `config is "${shorten(configured)}", plugin supports ${JSON.stringify(supported)}`,
    })
  }
  return version
}
