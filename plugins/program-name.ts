/**
 * The plugin that a program's name means. The reference has one program per plugin, so there a copy under any name stays
 * that plugin. Here one file is all plugins, and only its name says which one.
 */

/** Names the project as well as a plugin: in "kubenet-bridge" it says nothing. */
const project = 'kubenet'

/** Is it there as a word of its own: "bridge" in "cnv-bridge" and "bridge-1.9", not in "bridges"? */
const hasWord = (text: string, name: string): boolean =>
  new RegExp(`(^|[^a-z0-9])${name}($|[^a-z0-9])`).test(text)

/**
 * The plugins that the name of a program's file may mean: the one it equals, else those it has as words, else those it
 * has anywhere. None or several of them are no answer. Case does not count.
 */
export const pluginsNamed = (fileName: string, plugins: readonly string[]): readonly string[] => {
  const text = fileName.toLowerCase()
  if (plugins.includes(text)) return [text]
  const words = plugins.filter(name => hasWord(text, name))
  const found = words.length > 0 ? words : plugins.filter(name => text.includes(name))
  const others = found.filter(name => name !== project)
  return others.length > 0 ? others : found
}
