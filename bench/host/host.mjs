/**
 * Hosts of their own for the benchmark: a network, mount and PID namespace with a driver inside. Nothing in there can
 * reach the machine's network, and all of it ends with its driver.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const driver = join(import.meta.dirname, 'driver.mjs')
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Where the leases of hosts with a store "disk" are: systems keep /var/tmp on a disk. */
const diskFolder = '/var/tmp'

/** No plugin takes this long, not even for the thousandth pod. */
const patienceMs = 120_000

// An uplink, so that there is something to masquerade to and an MTU to take over.
const setup = store => `
  mount -t sysfs sysfs /sys
  mount -t tmpfs tmpfs /run
  mkdir -p /run/netns /var/lib/cni
  ${store ? `mount --bind ${store} /var/lib/cni` : 'mount -t tmpfs tmpfs /var/lib/cni'}
  ip link set lo up
  ip netns add outside
  ip link add uplink type veth peer name eth0 netns outside
  ip addr add 192.0.2.1/24 dev uplink
  ip link set uplink up
  ip -n outside addr add 192.0.2.2/24 dev eth0
  ip -n outside link set eth0 up
  cd /
  exec "$@"`

export class Host {
  #child
  #store
  #waiting
  #died

  /** `store` says what /var/lib/cni is: "disk" or "tmpfs". */
  constructor(store) {
    this.#store = store === 'disk' ? mkdtempSync(join(diskFolder, 'kubenet-bench-')) : undefined
    const namespaces = ['--net', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child']
    this.#child = spawn(
      'unshare',
      [...namespaces, '--mount-proc', 'sh', '-euc', setup(this.#store), 'sh', process.execPath, driver],
      { stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: path } },
    )
    createInterface({ input: this.#child.stdout }).on('line', line => this.#settle(JSON.parse(line)))
    this.#died = new Promise(resolve => this.#child.once('exit', resolve))
    this.#died.then(code => this.#settle({ error: `the private host ended with exit code ${code}` }))
  }

  #settle({ ok, error }) {
    const waiting = this.#waiting
    if (!waiting) return
    this.#waiting = undefined
    clearTimeout(waiting.timer)
    if (error === undefined) waiting.resolve(ok)
    else waiting.reject(new Error(error))
  }

  /** Has the driver do something; one request at a time. */
  request(op, request = {}) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#settle({ error: `"${op}" has not ended in ${patienceMs / 1000} s` }),
        request.patienceMs ?? patienceMs,
      )
      this.#waiting = { resolve, reject, timer }
      this.#child.stdin.write(`${JSON.stringify({ op, ...request })}\n`)
    })
  }

  /** Runs a program on this host: how long it took, and what it printed. Throws unless it succeeds. */
  async run(argv, { stdin, env } = {}) {
    const program = { argv, env: { PATH: path, ...env }, ...(stdin !== undefined && { stdin }) }
    const outcome = await this.request('run', { program })
    if (outcome.code !== 0) {
      throw new Error(`${argv.join(' ')}: exit code ${outcome.code}\n${outcome.stdout}${outcome.stderr}`)
    }
    return outcome
  }

  /** Runs a shell script and answers what it printed. */
  async sh(script) {
    return (await this.run(['/bin/sh', '-ec', script])).stdout
  }

  /** Makes network namespaces for the pods `from` to `to`, `to` excluded. */
  async addPods(from, to) {
    const names = Array.from({ length: to - from }, (_, i) => `netns add p${from + i}\n`)
    await this.run(['/sbin/ip', '-batch', '-'], { stdin: names.join('') })
  }

  async end() {
    this.#child.stdin.end()
    await this.#died
    if (this.#store) rmSync(this.#store, { recursive: true, force: true })
  }

  /** Ends at once, for when the benchmark is ended. */
  kill() {
    this.#child.kill('SIGKILL')
    if (this.#store) rmSync(this.#store, { recursive: true, force: true })
  }
}
