/** The agent's endpoint answers every client, also beside clients that open connections and send nothing. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { addressOf, listen } from '../../agent/http'

const questions = {
  health: () => ({ ok: true, reason: 'ok' }),
  readiness: () => ({ ok: false, reason: 'not yet' }),
  metrics: async () => ({ contentType: 'text/plain', text: 'kubenet_agent_nodes 1\n' }),
}

t.test('300 requests of which only the beginning comes do not keep the next one from its answer', async t => {
  const server = await listen({ host: '127.0.0.1', port: 0 }, questions)
  const port = Number(addressOf(server).split(':')[1])
  const silent: Socket[] = []
  t.teardown(() => {
    for (const socket of silent) socket.destroy()
    server.close()
  })
  for (let i = 0; i < 300; i++) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    silent.push(socket)
    await once(socket, 'connect')
    socket.write('GET /healthz HTTP/1.1\r\nhost: a')
  }
  for (let i = 0; i < 3; i++) {
    const response = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(3000) })
    t.equal(await response.text(), 'ok\n')
  }
  const ready = await fetch(`http://127.0.0.1:${port}/readyz`)
  t.same([ready.status, await ready.text()], [503, 'not yet\n'])
  await t.resolves(
    new Promise<void>(resolve =>
      server.getConnections((_, count) => {
        t.ok(count <= 70, `${count} connections are open`)
        resolve()
      }),
    ),
  )
})
