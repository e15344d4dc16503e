/**
 * iptables through its own programs: one iptables-restore is one transaction of one family, however many rules it
 * has, where the iptables program would be started once a rule. Works with the legacy and the nf_tables variant,
 * whichever PATH has first.
 */
import { realpathSync, statSync } from 'node:fs'
import { codeOfExit, exec, findProgram } from '../host/exec'
import { isFrom, SystemError } from '../host/system-error'
import type { Family } from '../ip/addr'

// Bounded, so that a runtime hears "try again later" and not of its own timeout.
const lockWaitSeconds = 5

/** The code of a SystemError for input that was refused; not an errno's name, as no system call failed. */
const refused = 'REFUSED'

/** The code of a SystemError for a table that iptables-nft cannot list, as nft made rules there. */
const unlistable = 'UNLISTABLE'

/** RESOURCE_PROBLEM of xtables.h: legacy did not get the lock, or the kernel refused what nf_tables asked of it. */
const resourceProblem = codeOfExit(4)

const noNftables =
  'the kernel may have no nf_tables, which this variant of iptables needs: try "modprobe nf_tables", or put the ' +
  'programs of iptables-legacy in PATH under the names without "legacy" (update-alternatives --set iptables /usr/sbin/iptables-legacy)'

/** iptables is not installed, or the kernel will not have it. */
const iptablesError = (message: string, code: string, details: string): SystemError =>
  new SystemError('iptables', { message, code, details })

/** The two programs that are called iptables. Neither sees the other's rules. */
const variants = ['nft', 'legacy'] as const

export type Variant = (typeof variants)[number]

type Verb = 'restore' | 'save'

/** "iptables-restore", whichever variant that is, or "ip6tables-legacy-restore". */
const programName = (family: Family, verb: Verb, variant?: Variant): string =>
  [family === 4 ? 'iptables' : 'ip6tables', ...(variant ? [variant] : []), verb].join('-')

const program = (family: Family, verb: Verb, variant?: Variant): string => {
  const name = programName(family, verb, variant)
  const path = findProgram(name)
  if (path) return path
  throw iptablesError(`${name} is not in PATH`, 'ENOENT', 'install iptables, or choose the nftables backend')
}

const run = async (argv: readonly [string, ...string[]], stdin?: string): Promise<string> => {
  try {
    return await exec(argv, stdin)
  } catch (error) {
    if (!isFrom(error, 'program')) throw error
    const explained = explain(argv[0], error)
    throw isLockTimeout(error) ? await withHolder(explained) : explained
  }
}

/** The lock of iptables-legacy; the nf_tables variant has none. */
const xtablesLock = '/run/xtables.lock'

const isLockTimeout = ({ code, details }: SystemError): boolean =>
  code === resourceProblem && /holding the xtables lock/i.test(details)

/** The same error with the process that has the lock. */
const withHolder = async ({ message, code, details }: SystemError): Promise<SystemError> => {
  const { explainHolders } = await import('../host/lock.js')
  const file = statSync(xtablesLock, { throwIfNoEntry: false })
  const holder = file && explainHolders(file)
  return iptablesError(message, code, [details, holder].filter(Boolean).join('; '))
}

/** The failure of a program, by its exit code and its words: one code stands for many reasons. */
const explain = (path: string, error: SystemError): SystemError => {
  const { code, message, details } = error
  if (isLockTimeout(error)) {
    const held = `${path}: the xtables lock was held for ${lockWaitSeconds} s`
    return iptablesError(held, 'EAGAIN', details)
  }
  if (code === resourceProblem) {
    if (/resource temporarily unavailable/i.test(details))
      return iptablesError(`${path}: EAGAIN`, 'EAGAIN', details)
    if (/permission denied/i.test(details)) return iptablesError(`${path}: EPERM`, 'EPERM', details)
  }
  // The words of the nf_tables variant where the kernel has none.
  const lacksNftables = /could not fetch rule set generation id: (invalid|(protocol|operation) not)/i.test(
    details,
  )
  return iptablesError(message, refused, lacksNftables ? `${details}; ${noNftables}` : details)
}

/**
 * Did iptables-restore refuse its input, as it does when a rule to be checked or deleted is not there, or a chain to
 * be deleted still has rules that lead to it?
 */
export const isRefused = (error: unknown): error is SystemError => isFrom(error, 'iptables', refused)

/** Is it the failure to list a table with rules of nft that iptables cannot show? */
export const isUnlistable = (error: unknown): error is SystemError => isFrom(error, 'iptables', unlistable)

/** Is there a program to change this family's rules with, one of that variant if one is named? */
export const hasIptables = (family: Family, variant?: Variant): boolean =>
  findProgram(programName(family, 'restore', variant)) !== undefined

/** Is iptables-restore known to be the nf_tables variant's? It is a link to xtables-nft-multi then. */
export const isNftVariant = (family: Family): boolean =>
  /nft[^/]*$/.test(realpathSync(program(family, 'restore')))

/** The rules of one table in one list, as iptables-restore reads them: "-A POSTROUTING -j …". */
export type TableScript = {
  readonly table: 'nat' | 'filter' | 'mangle' | 'raw'
  readonly lines: readonly string[]
}

/**
 * The end of every input: a comment, which iptables-restore repeats with --verbose when it comes there. By then each
 * COMMIT before it was done.
 */
const lastLine = '# kubenet-cni: that is all'

/**
 * Applies all lines of one family, or none. Throws a SystemError: code EAGAIN if the lock was not had, ENODATA if the
 * program succeeded without having read them, as one does that SELinux keeps from its input.
 */
export const iptablesRestore = async (
  family: Family,
  scripts: readonly TableScript[],
  variant?: Variant,
): Promise<void> => {
  const text = scripts.map(({ table, lines }) => `*${table}\n${lines.join('\n')}\nCOMMIT\n`).join('')
  const path = program(family, 'restore', variant)
  const answer = await run(
    [path, '--noflush', '--verbose', `--wait=${lockWaitSeconds}`],
    `${text}${lastLine}\n`,
  )
  if (answer.split('\n').includes(lastLine)) return
  throw iptablesError(
    `${path} succeeded without reading all of its rules`,
    'ENODATA',
    'SELinux or AppArmor may stop it from reading them (see "ausearch -m avc", "dmesg | grep apparmor"), or a ' +
      'program that is not iptables-restore has its name; the nftables backend does not need it',
  )
}

/** A table's chains and rules, each rule in the form that deletes it when "-A" is made "-D". */
export type TableDump = { readonly chains: ReadonlySet<string>; readonly rules: readonly string[] }

/** The tables in place of which iptables-save printed "# Table `nat' is incompatible …", with exit code 0. */
export const unlistedTables = (printed: string): string[] =>
  [...printed.matchAll(/^# Table `([^']*)' is incompatible/gm)].map(([, table = '']) => table)

/** Why iptables cannot list such a table, and what to do. */
export const unlistedTable = (family: Family, table: string): { why: string; remedy: string } => ({
  why: 'it has rules of nft that iptables cannot show',
  remedy: `move those to a table of another name; "nft list table ${family === 4 ? 'ip' : 'ip6'} ${table}" shows them`,
})

/**
 * Reads one table of one family. Equivalent to: `iptables-save -t $table`. Throws a SystemError, of which `isUnlistable`
 * tells whether another program's rules of nft are in the way; rules of iptables can be added, checked and deleted even so.
 */
export const iptablesSave = async (
  family: Family,
  table: TableScript['table'],
  variant?: Variant,
): Promise<TableDump> => {
  const path = program(family, 'save', variant)
  const printed = await run([path, '-t', table])
  if (unlistedTables(printed).includes(table)) {
    const { why, remedy } = unlistedTable(family, table)
    const message = `${path} cannot list the IPv${family} table ${table}`
    throw iptablesError(message, unlistable, `${why}: ${remedy}`)
  }
  const lines = printed.split('\n')
  const chains = lines.filter(line => line.startsWith(':')).map(line => line.slice(1).split(' ')[0] ?? '')
  return { chains: new Set(chains), rules: lines.filter(line => line.startsWith('-A ')) }
}

/**
 * Those of the rules ("CHAIN -p tcp …") that are not in a table. Asks for all at once, then for ever smaller parts: this
 * works also where the table cannot be listed. Equivalent to: `iptables -t $table -C $rule`.
 */
export const rulesNotFound = async (
  family: Family,
  table: TableScript['table'],
  rules: readonly string[],
): Promise<string[]> => {
  try {
    await iptablesRestore(family, [{ table, lines: rules.map(rule => `-C ${rule}`) }])
    return []
  } catch (error) {
    if (!isRefused(error)) throw error
    if (rules.length <= 1) return [...rules]
  }
  const middle = rules.length >> 1
  const halves = [rules.slice(0, middle), rules.slice(middle)]
  const missing: string[] = []
  for (const half of halves) missing.push(...(await rulesNotFound(family, table, half)))
  return missing
}

/** A comment match; iptables-save quotes the same characters with a backslash. */
export const commentMatch = (comment: string): string =>
  `-m comment --comment "${comment.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`

/** The comment of a rule as iptables-save prints it; "" if it has none. */
export const commentOf = (rule: string): string => {
  const quoted = /--comment "((?:[^"\\]|\\.)*)"/.exec(rule)?.[1]
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1')
  return /--comment (\S+)/.exec(rule)?.[1] ?? ''
}

/** The chain a rule is in: the word after "-A". */
export const chainOf = (rule: string): string => rule.split(' ')[1] ?? ''

/** The chain or target a rule jumps to; "" for one without. */
export const targetOf = (rule: string): string => / -[jg] (\S+)/.exec(rule)?.[1] ?? ''

/** The line that deletes a rule which iptables-save printed. */
export const deletionOf = (rule: string): string => rule.replace(/^-A /, '-D ')
