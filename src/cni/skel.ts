import { readSync } from 'node:fs'
import { platform } from '#platform'
import { podInArgs } from '../attachment/attachment'
import { version as buildVersion } from '../build-info'
import { watchForInterrupts } from '../host/interrupt'
import { appendLog, type LogTarget, warn } from '../host/log'
import { writeAll } from '../host/output'
import { endStep, printTrace, startTrace, takeSteps } from '../host/steps'
import { closeNetns } from '../netns/netns'
import { readCniEnv } from './args'
import { maxConfBytes, type NetConf, parseJsonObject, parseNetConf } from './conf'
import { CniError, ErrorCode, formatError, runAll } from './error'
import { type BuiltIns, openCallNetns, type Plugin, runCommand } from './plugin'
import { formatResult } from './result'
import { currentVersion, negotiateVersion } from './version'

/** The output and exit code of a plugin's process. */
export type Answer = { readonly stdout: string; readonly stderr: string; readonly exitCode: 0 | 1 }

type Environment = Readonly<Record<string, string | undefined>>

/** Configurations are some kilobytes; memory that is not needed is not asked for. */
const chunkBytes = 16 * 1024

/** Reads standard input to its end; throws code 5 if it cannot be read or does not end. */
const readStdin = (): string => {
  const chunks: Buffer[] = []
  let total = 0
  for (;;) {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    const length = readChunk(chunk)
    if (length === 0) return Buffer.concat(chunks).toString('utf8')
    chunks.push(chunk.subarray(0, length))
    total += length
    if (total > maxConfBytes) {
      throw new CniError(
        ErrorCode.ioFailure,
        `the network configuration on stdin is over ${maxConfBytes} bytes`,
      )
    }
  }
}

const readChunk = (chunk: Buffer): number => {
  for (;;) {
    try {
      return readSync(0, chunk)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'EOF') return 0
      // A caller may hand over the reading end of a non-blocking pipe: wait for it to be filled.
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
      else throw new CniError(ErrorCode.ioFailure, 'error reading from stdin', { cause: error })
    }
  }
}

const formatVersions = (plugin: Plugin): string =>
  JSON.stringify({ cniVersion: currentVersion, supportedVersions: plugin.versions })

const about = (plugin: Plugin): string =>
  `CNI ${plugin.name} plugin ${buildVersion} (kubenet-cni)\n` +
  `CNI protocol versions supported: ${plugin.versions.join(', ')}\n`

const logTarget = (env: Environment, conf: NetConf | undefined): LogTarget | undefined => {
  const file = env.CNI_LOG_FILE || conf?.logFile
  return file ? { file, level: conf?.logLevel ?? 'info' } : undefined
}

/**
 * Runs the command the environment names: the whole of a plugin's process but printing and exiting. Every failure
 * becomes an error object; the function itself never throws. With `deliver` an ADD's result goes there instead of into
 * the answer: if that throws, the ADD fails and undoes what it did, because the runtime does not know of it.
 */
export const answerCall = async (
  plugin: Plugin,
  builtIns: BuiltIns,
  env: Environment,
  stdin: () => string,
  deliver?: (result: string) => void,
): Promise<Answer> => {
  if (!env.CNI_COMMAND) return { stdout: '', stderr: about(plugin), exitCode: 0 }
  let conf: NetConf | undefined
  let version = currentVersion
  if (env.CNI_TRACE === '1') startTrace()
  const started = performance.now()
  let failure: CniError | undefined
  let stdout = ''
  try {
    const cniEnv = readCniEnv(env)
    const { command } = cniEnv
    if (command === 'VERSION') return { stdout: formatVersions(plugin), stderr: '', exitCode: 0 }
    const text = stdin()
    endStep('stdin')
    const raw = parseJsonObject(text)
    conf = parseNetConf(raw)
    version = negotiateVersion(conf.cniVersion, command, plugin.versions)
    endStep('parse')
    const { netns, outOfReach, refusal } = openCallNetns(cniEnv)
    endStep('netns')
    try {
      const call = { env: cniEnv, stdin: text, raw, conf, version, netns, outOfReach, builtIns }
      const work = () =>
        runCommand(plugin, command, call, result => {
          const text = formatResult(result, call.version)
          if (!deliver) {
            stdout = text
            return
          }
          deliver(text)
          endStep('output')
        })
      await (refusal ? runAll([() => Promise.reject(refusal), work]) : work())
    } finally {
      if (netns) closeNetns(netns)
    }
  } catch (error) {
    failure = CniError.from(error)
    stdout = formatError(failure, version)
  }
  const steps = takeSteps()
  printTrace()
  const target = logTarget(env, conf)
  if (target && (failure || target.level !== 'error')) {
    appendLog(target, {
      plugin: plugin.name,
      command: env.CNI_COMMAND,
      network: conf?.name,
      containerID: env.CNI_CONTAINERID,
      pod: podInArgs(env.CNI_ARGS ?? ''),
      ifName: env.CNI_IFNAME,
      traceparent: traceParent(env.TRACEPARENT),
      ms: Math.round((performance.now() - started) * 1000) / 1000,
      ...(target.level === 'debug' && { steps }),
      ...(failure && { code: failure.code, error: failure.message, details: failure.details }),
    })
  }
  return { stdout, stderr: '', exitCode: failure ? 1 : 0 }
}

/** https://www.w3.org/TR/trace-context: version, trace, span and flags, in hex. */
const traceParentForm = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** The caller's trace, for the log. The programs that a plugin calls inherit it. Undefined for one that is none. */
const traceParent = (text: string | undefined): string | undefined =>
  text !== undefined && traceParentForm.test(text) ? text : undefined

/** Prints a line for the runtime. Not by process.stdout: setting up its stream costs a runtime 9 ms. */
const print = (text: string): void => {
  try {
    writeAll(1, `${text}\n`)
  } catch (error) {
    throw new CniError(ErrorCode.ioFailure, 'error writing the answer to stdout', { cause: error })
  }
}

/** A signal ends the wait for the configuration: so far there is nothing to undo, and read(2) waits. */
const readCall = (): string => {
  const text = readStdin()
  watchForInterrupts()
  return text
}

/** Prints an answer and ends the process with its exit code, with 1 if it cannot be printed. */
const finish = ({ stdout, stderr, exitCode }: Answer): never => {
  if (stderr) warn(stderr.trimEnd())
  try {
    if (stdout) print(stdout)
  } catch (error) {
    warn(`${CniError.from(error).message}: ${stdout}`)
    platform.exit(1)
  }
  return platform.exit(exitCode)
}

/** Runs a plugin as this process: reads the call, prints the answer, exits. */
export const pluginMain = async (plugin: Plugin, builtIns: BuiltIns): Promise<never> => {
  endStep('start')
  return finish(await answerCall(plugin, builtIns, process.env, readCall, print))
}

/** Ends the process with the error object for what kept a plugin from being called at all; people read it on stderr. */
export const failMain = (error: unknown): never => {
  const failure = CniError.from(error)
  if (process.env.CNI_COMMAND)
    return finish({ stdout: formatError(failure, currentVersion), stderr: '', exitCode: 1 })
  return finish({ stdout: '', stderr: [failure.message, failure.details].join('\n'), exitCode: 1 })
}
