/** Hostile input and environments: refused, or without effect. Nothing on the host changes. */
import t, { type Test } from 'tap'
import { type Answer, binDir, type CallOptions, call, flavours, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

const conf = (more: Json = {}): Json => ({
  cniVersion: '1.1.0',
  name: 'net',
  type: 'bridge',
  bridge: 'br0',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }]] },
  ...more,
})

const loopback = (more = ''): string => `{"cniVersion":"1.1.0","name":"lo","type":"loopback"${more}}`

type Case = {
  readonly title: string
  readonly plugin?: string
  readonly conf?: unknown
  readonly options?: CallOptions
  /** The code of the error object; 0 where the call works. */
  readonly code: number
  readonly msg?: RegExp
}

const megabyte = 1024 * 1024

const inputs: readonly Case[] = [
  {
    title: '10 MiB of an unknown key',
    plugin: 'loopback',
    conf: loopback(`,"x":"${'x'.repeat(10 * megabyte)}"`),
    code: 0,
  },
  {
    title: 'more than 16 MiB',
    plugin: 'loopback',
    conf: loopback(`,"x":"${'x'.repeat(17 * megabyte)}"`),
    code: 5,
    msg: /stdin is over 16777216 bytes/,
  },
  { title: 'a million brackets', conf: '['.repeat(1_000_000), code: 6 },
  { title: 'a million braces', conf: '{"a":'.repeat(1_000_000), code: 6 },
  {
    title: 'a name twice: the last counts, and is checked',
    plugin: 'loopback',
    conf: loopback(',"name":"../lo"'),
    code: 7,
  },
  { title: 'a NUL in the text', plugin: 'loopback', conf: `${loopback()}\0`, code: 6 },
  { title: 'a NUL in the name', conf: conf({ name: 'net\0' }), code: 7 },
  {
    title: 'a name in the prototype',
    conf: `{"__proto__":${JSON.stringify(conf())},"cniVersion":"1.1.0"}`,
    code: 7,
  },
  { title: 'a network that leads out of dataDir', conf: conf({ name: '../../../etc' }), code: 7 },
  { title: 'a network named like a command', conf: conf({ name: 'a;reboot' }), code: 7 },
  {
    title: 'an IPAM plugin outside CNI_PATH',
    conf: conf({ ipam: { type: '../../bin/sh' } }),
    code: 7,
    msg: /^invalid plugin name: \.\.\/\.\.\/bin\/sh$/,
  },
  {
    title: 'an IPAM plugin by its path',
    conf: conf({ ipam: { type: '/bin/sh' } }),
    code: 7,
    msg: /^invalid plugin name: \/bin\/sh$/,
  },
  { title: 'a bridge that is a path', conf: conf({ bridge: '../br0' }), code: 7 },
  {
    title: 'a mark chain with a rule behind it',
    plugin: 'portmap',
    conf: conf({
      type: 'portmap',
      backend: 'iptables',
      externalSetMarkChain: 'X\n-F',
      runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80 }] },
      prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.1.2.9/24' }], dns: {} },
    }),
    code: 7,
  },
]

const environments: readonly Case[] = [
  ...['../eth0', 'a/b', '.', '..', 'a:b', 'eth0\n', 'a b', 'a'.repeat(16), '/etc/passwd'].map(ifName => ({
    title: `the interface ${JSON.stringify(ifName)}`,
    options: { ifName },
    code: 4,
  })),
  ...['../../etc/passwd', 'a/b', '-rf', '.hidden', 'a b', '$(reboot)', "a';--"].map(containerID => ({
    title: `the container ${containerID}`,
    options: { containerID },
    code: 4,
  })),
  { title: 'the host’s own namespace', options: { netns: '/proc/self/ns/net' }, code: 8 },
  { title: 'a file for a namespace', options: { netns: '/etc/passwd' }, code: 8 },
  { title: 'a device for a namespace', options: { netns: '/dev/zero' }, code: 8 },
  { title: 'a folder for a namespace', options: { netns: '/etc' }, code: 8 },
  {
    title: 'another kind of namespace',
    plugin: 'loopback',
    options: { netns: '/proc/self/ns/mnt' },
    code: 8,
  },
  { title: 'a pipe without a writer for a namespace', options: { netns: '/run/pipe' }, code: 8 },
  { title: 'an address with a command', options: { args: 'IP=10.1.2.3$(reboot)' }, code: 4 },
  { title: 'unknown arguments', options: { args: 'PATH=/tmp' }, code: 4 },
]

const isLarge = ({ conf }: Case): boolean => typeof conf === 'string' && conf.length > 500_000

const testCase = async (t: Test, host: PrivateHost, folder: string, one: Case) => {
  const { title, plugin = 'bridge', options, code, msg = /./ } = one
  const netns = '/run/netns/c1'
  const answer = await call(host, folder, plugin, one.conf ?? conf(), { netns, ...options })
  if (code === 0) t.equal(answer.code, 0, title)
  else t.match(answer, { code: 1, stderr: '', json: { cniVersion: '1.1.0', code, msg } }, title)
}

/** What another user may have put in the folder a plugin is started in, each running a program that leaves a file. */
const prepared = `
  cd /run/elsewhere
  cat > evil.js <<'END'
require('fs').writeFileSync('/run/evil', 'ran')
END
  cp evil.js preload.js
  printf 'preload = ["./evil.js"]\\n[run]\\npreload = ["./evil.js"]\\n' | tee bunfig.toml > .bunfig.toml
  printf 'CNI_COMMAND=VERSION\\nBUN_OPTIONS=--preload ./evil.js\\nCNI_LOG_FILE=/run/evil\\n' | tee .env .env.local > .env.production
  echo '{"name":"evil","type":"module","imports":{"node:fs":"./evil.js"},"main":"evil.js"}' > package.json
  echo '{"compilerOptions":{"paths":{"*":["./evil.js"]}}}' > tsconfig.json
  echo '--require ./evil.js' > .npmrc
  mkdir -p node_modules/netlink node_modules/commander
  for i in netlink commander; do cp evil.js node_modules/$i/index.js; done
  for i in iptables-restore iptables-save ip6tables-restore ip6tables-save host-local; do
    printf '#!/bin/sh\\ntouch /run/evil\\n' > $i; chmod 755 $i
  done
`

/** Variables by which a JavaScript runtime would run a program, print something else, or listen to a debugger. */
const runtimeVariables: Readonly<Record<string, string>> = {
  BUN_OPTIONS: '--preload /run/elsewhere/evil.js',
  BUN_BE_BUN: '1',
  BUN_INSPECT: 'ws://127.0.0.1:6499/x?wait=1',
  BUN_INSPECT_PRELOAD: '/run/elsewhere/evil.js',
  BUN_INSPECT_CONNECT_TO: '/run/elsewhere/socket',
  BUN_RUNTIME_TRANSPILER_CACHE_PATH: '/run/elsewhere',
  NODE_PATH: '/run/elsewhere/node_modules',
  NODE_OPTIONS: '--require /run/elsewhere/evil.js',
  HOME: '/run/elsewhere',
  XDG_CONFIG_HOME: '/run/elsewhere',
}

/** A library that notes the name of each program that loads it, and the variables by which the C library does so. */
const preloaded = `
  mkdir /run/library; cd /run/library; touch loaded
  gcc -shared -fPIC -D_GNU_SOURCE -x c -o evil.so - <<'END'
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
unsigned la_version(unsigned version) { return version; }
__attribute__((constructor)) static void note(void) {
  int fd = open("/run/library/loaded", O_WRONLY | O_APPEND);
  write(fd, program_invocation_short_name, strlen(program_invocation_short_name));
  write(fd, "\\n", 1);
}
END
`
const libraryVariables: Readonly<Record<string, string>> = {
  LD_PRELOAD: '/run/library/evil.so',
  LD_AUDIT: '/run/library/evil.so',
  LD_LIBRARY_PATH: '/run/library',
  GLIBC_TUNABLES: 'glibc.malloc.check=3:glibc.malloc.tcache_count=0',
  MALLOC_TRACE: '/run/evil',
  GCONV_PATH: '/run/library',
  LOCPATH: '/run/library',
  LC_ALL: 'evil',
  TMPDIR: '/run/library',
}

/** Calls from the prepared folder, and answers what they left. */
const callThere = async (
  host: PrivateHost,
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<Answer[]> => {
  const there = (command: string, plugin: string, more: Json) =>
    host.exec(['sh', '-c', `cd /run/elsewhere; exec ${folder}/${plugin}`], {
      stdin: JSON.stringify(conf(more)),
      env: {
        PATH: '.::bin:/usr/sbin:/usr/bin:/sbin:/bin',
        ...{ CNI_COMMAND: command, CNI_CONTAINERID: 'c1', CNI_IFNAME: 'eth0' },
        ...{ CNI_NETNS: '/run/netns/c1', CNI_PATH: folder },
        ...env,
      },
    })
  const masquerading = { ipMasq: true, ipMasqBackend: 'iptables' }
  const answers: Answer[] = []
  for (const command of ['VERSION', 'ADD', 'DEL']) {
    const answer = await there(command, 'bridge', masquerading)
    answers.push({ ...answer, json: answer.stdout && JSON.parse(answer.stdout) })
  }
  return answers
}

for (const flavour of flavours) {
  t.test(`[${flavour}] files prepared by another user`, async t => {
    const host = await PrivateHost.create(t)
    const folder = binDir(flavour)
    await host.netns('c1')
    await host.sh(`mkfifo /run/pipe; mkdir /run/elsewhere; ${prepared}`)
    // The bridge stays when its last container goes.
    for (const command of ['ADD', 'DEL'])
      await call(host, folder, 'bridge', conf(), { command, netns: '/run/netns/c1' })
    const before = await host.snapshot()
    // What reads the input is the runtime's; what checks it is the same code in both.
    const cases = flavour === 'standalone' ? [...inputs, ...environments] : inputs.filter(isLarge)
    for (const one of cases) await testCase(t, host, folder, one)
    t.equal(await host.snapshot(), before, 'nothing has changed')

    // Node.js must be told by its own variables; who sets them for root sets LD_PRELOAD as well.
    const { NODE_OPTIONS: _, ...harmless } = runtimeVariables
    const variables = flavour === 'standalone' ? runtimeVariables : harmless
    for (const env of [{}, variables]) {
      const [version, added, deleted] = await callThere(host, folder, env)
      const title = `with ${Object.keys(env).length} variables of the runtimes, in a prepared folder`
      t.equal(version?.json.supportedVersions.at(-1), '1.1.0', title)
      t.equal(added?.json.ips?.[0].address.split('/')[1], '24', title)
      t.same([deleted?.code, deleted?.stdout], [0, ''], title)
      const commandLine = ['sh', '-c', `cd /run/elsewhere; exec ${folder}/kubenet version`]
      const { code, stdout } = await host.exec(commandLine, { env: { PATH: '/usr/bin:/bin', ...env } })
      t.equal(code, 0, `${title}: the command line`)
      t.match(stdout, /^kubenet \d/, title)
      t.equal(await host.sh('ls /run/evil 2> /dev/null || true'), '', `${title}: nothing of it ran`)
    }
  })
}

const skip = flavours.includes('standalone') ? false : 'the standalone programs are not asked for'

t.test('[standalone] libraries named by variables', { skip }, async t => {
  const host = await PrivateHost.create(t)
  await host.netns('c1')
  await host.sh(`mkdir /run/elsewhere; ${preloaded}`)
  const [version, added, deleted] = await callThere(host, binDir('standalone'), libraryVariables)
  t.equal(version?.json.supportedVersions.at(-1), '1.1.0')
  t.equal(added?.json.ips?.[0].address, '10.1.2.2/24')
  t.same([deleted?.code, deleted?.stdout], [0, ''])
  // The shell that becomes the plugin loads it twice; neither the plugin does, nor the iptables that it starts.
  const loaded = await host.sh('sort -u /run/library/loaded; ls /run/evil 2> /dev/null || true')
  t.equal(loaded, 'sh\n')
})
