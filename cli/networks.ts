import { command } from '../node/command/command'
import { ExitCode } from '../node/command/failure'
import { flag } from '../node/command/option'
import { placeOptions, placesOf } from '../node/command/places'
import { readConfDir } from '../src/runtime/conf-dir'
import { networksOf } from './frame/networks'
import { formatTable } from './frame/table'

export const networks = command({
  name: 'networks',
  group: 'Look at a node',
  summary: 'list the networks of the node; the first is the default',
  about: ['Invalid files are reported on standard error and skipped.'],
  options: { names: flag('only the names, one a line'), ...placeOptions },
  examples: [
    { line: 'kubenet networks', does: 'list networks and their plugins' },
    { line: 'kubenet networks --names', does: 'for a shell script' },
  ],
  run: ({ options, io }) => {
    const places = placesOf(options, io)
    // A shell that completes a word wants no complaints.
    if (options.names) {
      const names = readConfDir({ confDir: places.confDir, onBroken: () => {} }).map(({ name }) => name)
      return { json: { names }, text: () => names.map(name => `${name}\n`).join('') }
    }
    const found = networksOf(places, io).map(({ name, file, cniVersion, plugins }, i) => ({
      name,
      file,
      cniVersion,
      plugins: plugins.map(({ type }) => type),
      default: i === 0,
    }))
    const rows = found.map(({ name, file, cniVersion, plugins, default: isDefault }) => [
      name,
      isDefault ? 'yes' : '-',
      cniVersion,
      plugins.join(','),
      file,
    ])
    const titles = ['NETWORK', 'DEFAULT', 'CNI', 'PLUGINS', 'FILE'].map(title => ({ title }))
    return {
      json: { confDir: places.confDir, networks: found },
      text: style => formatTable(titles, rows, style),
      ...(found.length === 0 && {
        notes: [`there is no network in ${places.confDir}`],
        exitCode: ExitCode.notFound,
      }),
    }
  },
})
