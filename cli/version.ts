import { platform } from '#platform'
import { command } from '../node/command/command'
import { version as buildVersion, commit } from '../src/build-info'
import { specVersions } from '../src/cni/version'
import { flavourOf } from './frame/program-file'

export const version = command({
  name: 'version',
  group: 'This program',
  summary: 'print version, build and supported CNI versions',
  examples: [
    { line: 'kubenet version', does: 'print the version' },
    { line: 'kubenet version --json | jq -r .commit', does: 'print the commit of the build' },
  ],
  run: ({ io }) => {
    const flavour = flavourOf(io.programPath) ?? 'node'
    const json = {
      version: buildVersion,
      commit,
      flavour,
      runtime: platform.runtime,
      program: io.programPath,
      cniVersions: specVersions,
    }
    const rows = [
      `kubenet ${buildVersion} (commit ${commit})`,
      `kind     ${flavour}, ${json.runtime}`,
      `program  ${io.programPath}`,
      `CNI      ${specVersions.join(', ')}`,
    ]
    return { json, text: () => rows.map(row => `${row}\n`).join('') }
  },
})
