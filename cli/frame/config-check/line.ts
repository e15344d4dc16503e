/** One thing that a check of a network's file has to say. */
export type Line = {
  /** "fail": the network does not work so. "warn": probably not what was meant. */
  readonly status: 'fail' | 'warn'
  /** The key it is about: "plugins[0].ipam.ranges[0][0].subnet"; "" for the file as a whole. */
  readonly path: string
  readonly says: string
  readonly remedy: string
}

export const fail = (path: string, says: string, remedy = ''): Line => ({
  status: 'fail',
  path,
  says,
  remedy,
})

export const warn = (path: string, says: string, remedy = ''): Line => ({
  status: 'warn',
  path,
  says,
  remedy,
})
