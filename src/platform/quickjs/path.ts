/** node:path for programs that are made of QuickJS: of the POSIX forms, those that the command line uses. */
import { process } from './globals'

/** The parts of a path, with "." and ".." resolved. An absolute path has nothing above its root. */
const normalised = (path: string, isAbsolute: boolean): string[] => {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    const last = parts.at(-1)
    if (part !== '..') parts.push(part)
    else if (last !== undefined && last !== '..') parts.pop()
    else if (!isAbsolute) parts.push(part)
  }
  return parts
}

/** An absolute path without "." and "..": of the words from the last absolute one on, or from the working folder. */
export const resolve = (...words: readonly string[]): string => {
  let path = ''
  for (const word of words.toReversed()) {
    if (path.startsWith('/')) break
    if (word !== '') path = path === '' ? word : `${word}/${path}`
  }
  if (!path.startsWith('/')) path = `${process.cwd()}/${path}`
  return `/${normalised(path, true).join('/')}`
}

/** The words as one path, without "." and "..". */
export const join = (...words: readonly string[]): string => {
  const path = words.filter(word => word !== '').join('/')
  const isAbsolute = path.startsWith('/')
  const parts = normalised(path, isAbsolute).join('/')
  if (isAbsolute && parts === '') return '/'
  return `${isAbsolute ? '/' : ''}${parts || '.'}${path.endsWith('/') ? '/' : ''}`
}

/** The folders of a path. */
export const dirname = (path: string): string => {
  const text = path.replace(/\/+$/, '')
  const slash = text.lastIndexOf('/')
  if (slash < 0) return text === '' && path !== '' ? '/' : '.'
  return slash === 1 && text.startsWith('//') ? '//' : text.slice(0, slash) || '/'
}

/** The last word of a path. */
export const basename = (path: string): string => {
  const text = path.replace(/\/+$/, '')
  return text.slice(text.lastIndexOf('/') + 1)
}
