import { nextDatagram } from '../next-datagram'
import type { Libc, Platform } from '../platform'
import { call, sha512Hex } from './calls'

const libc: Libc = {
  socket: (domain, type, protocol) => call('socket', domain, type, protocol),
  bind: (fd, address) => call('bind', fd, address, address.length),
  connect: (fd, address) => call('connect', fd, address, address.length),
  setsockopt: (fd, level, name, value) => call('setsockopt', fd, level, name, value, value.length),
  send: (fd, data, flags) => call('sendto', fd, data, data.length, flags),
  recvfrom: (fd, buffer, flags, sender, length) =>
    call('recvfrom', fd, buffer, buffer.length, flags, sender, length),
  setns: (fd, nstype) => call('setns', fd, nstype),
  unshare: flags => call('unshare', flags),
  flock: (fd, operation) => call('flock', fd, operation),
  ioctl: (fd, request, argument) => call('ioctl', fd, request, argument),
  syncFileRange: (fd, flags) => call('sync_file_range', fd, 0, 0, flags),
}

const invokedPath = process.argv[1] ?? process.execPath

export const platform: Platform = {
  libc,
  invokedAs: invokedPath.slice(invokedPath.lastIndexOf('/') + 1),
  // Not the path it was started by, which may be a link from another folder than that of the plugins.
  programPath: __filename,
  args: process.argv.slice(2),
  runtime: `Node.js ${process.versions.node}`,
  sha512Hex,
  nextDatagram,
  onStart: program => program(),
  // Node.js joins its own threads first, which takes time, and now and then has no end (github.com/nodejs/node/issues/54918).
  exit: code => {
    try {
      call('exit_group', code)
    } finally {
      // Where no folder can hold the addon.
      process.exit(code)
    }
  },
  exec: (argv, env) => {
    const { exec } = require('./run-alone') as typeof import('./run-alone')
    return exec(argv, env)
  },
  run: (argv, options) => {
    // A plugin does nothing else meanwhile. By require, as a program must begin before its caller goes on.
    const { run } = process.env.CNI_COMMAND
      ? (require('./run-alone') as typeof import('./run-alone'))
      : (require('../run-program') as typeof import('../run-program'))
    return run(argv, options)
  },
}
