/** The file system that a path is on. */
import { readFileSync } from 'node:fs'

export type Mount = { readonly point: string; readonly options: ReadonlySet<string> }

/** Blanks and the like are three octal digits behind a backslash: proc(5). */
const unescaped = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
const parseLine = (line: string): Mount | undefined => {
  const [front = '', back = ''] = line.split(' - ')
  const [, , , , point, own = ''] = front.split(' ')
  const [, , all = ''] = back.split(' ')
  return point === undefined
    ? undefined
    : { point: unescaped(point), options: new Set([...own.split(','), ...all.split(',')]) }
}

/** The mounts of this process's namespace, those made later behind the others; none where they cannot be read. */
export const readMounts = (): Mount[] => {
  try {
    return readFileSync('/proc/thread-self/mountinfo', 'utf8')
      .split('\n')
      .flatMap(line => parseLine(line) ?? [])
  } catch {
    return []
  }
}

const isBelow = (path: string, point: string): boolean =>
  point === '/' || path === point || path.startsWith(`${point}/`)

/** The mount that a path without links is on. */
export const mountOf = (path: string, mounts: readonly Mount[]): Mount | undefined =>
  mounts
    .filter(({ point }) => isBelow(path, point))
    .reduce<Mount | undefined>(
      (best, mount) => (mount.point.length >= (best?.point.length ?? 0) ? mount : best),
      undefined,
    )
