/** The check of a network's file before it is used: its keys and values, and what it needs and meets on this node. */
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Answer } from '../../../node/command/command'
import { CliError, ExitCode } from '../../../node/command/failure'
import type { CliIo } from '../../../node/command/io'
import type { Places } from '../../../node/command/places'
import type { Style } from '../../../node/command/style'
import { faults } from '../../../node/survey/faults'
import { type Network, readNetwork } from '../../../node/survey/networks'
import { rangeOverlaps } from '../../../node/survey/range-overlaps'
import { CniError } from '../../../src/cni/error'
import { isJsonObject } from '../../../src/cni/schema'
import { readPlainFile } from '../../../src/host/plain-file'
import { linkByName } from '../../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../../src/netlink/socket'
import { readConfDir } from '../../../src/runtime/conf-dir'
import { type NetworkConfigList, parseConfList, parseSingleConf } from '../../../src/runtime/conf-list'
import { missingTypes, unexecutable, unexecutableRemedy } from '../networks'
import { readSurvey } from '../survey'
import { formatTable } from '../table'
import { count } from '../units'
import { fail, type Line, warn } from './line'

type Call = { readonly file: string; readonly places: Places; readonly io: CliIo }

/** The plugins that the node does not have, or cannot start. */
const pluginLines = (list: NetworkConfigList, places: Places): Line[] => [
  ...missingTypes(list, places).map(type =>
    fail(
      '',
      `plugin "${type}" is not in ${places.binDirs.join(':')}`,
      '"kubenet install" puts ours in place',
    ),
  ),
  ...unexecutable(list, places).map(path =>
    fail('', `"${path}" is not executable`, unexecutableRemedy(path)),
  ),
]

/** Names that something else on the node has already. */
const nameLines = (list: NetworkConfigList, network: Network, places: Places): Line[] => {
  const others = existsSync(places.confDir)
    ? readConfDir({ confDir: places.confDir, onBroken: () => {} }).filter(({ file }) => file !== list.file)
    : []
  const twin = others.find(({ name }) => name === list.name)
  const { bridge } = network
  const link = bridge === undefined ? undefined : withNetlink(NETLINK_ROUTE, nl => linkByName(nl, bridge))
  return [
    ...(twin
      ? [fail('name', `${twin.file} has a network "${list.name}" too`, 'give each network a name of its own')]
      : []),
    ...(link && link.kind !== 'bridge'
      ? [
          fail(
            'bridge',
            `"${link.name}" is an interface of the host and no bridge`,
            'choose another "bridge"',
          ),
        ]
      : []),
  ]
}

/** Ranges that other networks or the host have. */
const rangeLines = async (network: Network, { places, io }: Call): Promise<Line[]> => {
  const survey = await readSurvey(places, io)
  const others = survey.readings.networks.filter(
    ({ file, name }) => file !== network.file && name !== network.name,
  )
  const readings = { ...survey.readings, networks: [network, ...others] }
  return rangeOverlaps(readings)
    .filter(({ says }) => says.includes(`"${network.name}"`))
    .map(({ code, says, remedy }) => ({ status: faults[code].severity, path: '', says, remedy }))
}

const describe = (error: unknown): string => {
  const { message, details } = CniError.from(error)
  return [message, details].filter(Boolean).join(': ')
}

/** The list of a file; what keeps it from being read is a line. */
const parse = (text: string, file: string): NetworkConfigList | Line => {
  try {
    return file.endsWith('.conflist') ? parseConfList(text, file) : parseSingleConf(text, file)
  } catch (error) {
    return fail('', describe(error))
  }
}

const read = (file: string): string => {
  if (!existsSync(file)) throw new CliError(ExitCode.notFound, `there is no file ${file}`)
  return readPlainFile(file, { followLinks: true }) ?? ''
}

const parsedJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const examine = async (call: Call): Promise<Line[]> => {
  const { file, places } = call
  const text = read(file)
  const value = parsedJson(text)
  const { linesOfKeys } = await import('./keys.js')
  const ofKeys = isJsonObject(value) ? linesOfKeys(value) : []
  const list = parse(text, file)
  if ('says' in list) return [list, ...ofKeys]
  if (list.plugins.length === 0) return [...ofKeys, fail('plugins', 'there is no plugin')]
  const network = readNetwork(list, false)
  // The plugins say again what is in a line of a key.
  const told = ofKeys.some(({ status }) => status === 'fail')
  return [
    ...ofKeys,
    ...(told ? [] : network.problems.map(problem => fail('', problem))),
    ...(/\.(conflist|conf|json)$/.test(file) || dirname(file) !== places.confDir
      ? []
      : [warn('', 'runtimes read only files called .conflist, .conf or .json')]),
    ...pluginLines(list, places),
    ...nameLines(list, network, places),
    ...(await rangeLines(network, call)),
  ]
}

const format = (file: string, lines: readonly Line[], style: Style): string => {
  if (lines.length === 0) return `${file}: ${style.green('nothing is wrong')}\n`
  const paint = ({ status }: Line) => (status === 'fail' ? style.red(status) : style.yellow(status))
  const says = (line: Line) => [line.says, line.remedy].filter(Boolean).join('; ')
  const fails = lines.filter(({ status }) => status === 'fail').length
  return `${formatTable(
    [{ title: 'STATUS' }, { title: 'KEY' }, { title: 'DETAILS' }],
    lines.map(line => [paint(line), line.path || '-', says(line)]),
    style,
  )}${file}: ${count(fails, 'failure')}, ${count(lines.length - fails, 'warning')}\n`
}

/** Checks a network's file, which nothing uses yet. Exits with 1 if the network would not work. */
export const checkFile = async (given: string, places: Places, io: CliIo): Promise<Answer> => {
  const file = resolve(io.cwd, given)
  const lines = await examine({ file, places, io })
  const isBad = lines.some(({ status }) => status === 'fail')
  return {
    json: { file, valid: !isBad, lines },
    text: style => format(file, lines, style),
    exitCode: isBad ? ExitCode.failed : ExitCode.done,
  }
}
