import t, { type Test } from 'tap'
import { statusNetworkList } from '../../../src/runtime/check'
import { binDir, failure, failureOf, network, recordingExec } from './fixtures/recording-exec'

const runtime = (t: Test, answers: Parameters<typeof recordingExec>[0] = {}) => {
  const recorder = recordingExec(answers)
  const cacheDir = t.testdir({})
  return {
    ...recorder,
    options: { binDirs: [binDir(cacheDir, 'a', 'b')], cacheDir, env: {}, exec: recorder.exec },
  }
}

t.test('STATUS asks every plugin', async t => {
  const { asked, calls, options } = runtime(t)
  await statusNetworkList(network(['a', 'b']), options)
  t.same(calls(), ['STATUS a', 'STATUS b'])
  t.equal(asked[0]?.stdin, '{"type":"a","cniVersion":"1.1.0","name":"net"}')
  t.match(asked[0]?.env, { CNI_COMMAND: 'STATUS', CNI_CONTAINERID: '', CNI_PATH: options.binDirs[0] })
})

t.test('STATUS throws what all of them say, with the code of the first', async t => {
  const { options } = runtime(t, {
    'STATUS a': failure(50, 'no iptables'),
    'STATUS b': failure(51, 'no IPv6'),
  })
  t.equal(
    await failureOf(statusNetworkList(network(['a', 'b', 'c']), options)),
    '50 plugin type="a" failed (status): no iptables; plugin type="b" failed (status): no IPv6; ' +
      `plugin type="c" failed (status): failed to find plugin "c" in path [${options.binDirs[0]}]`,
  )
})

t.test('STATUS asks nobody before 1.1.0', async t => {
  const { calls, options } = runtime(t, { 'STATUS a': failure(50, 'no') })
  await statusNetworkList(network(['a'], { cniVersion: '1.0.0' }), options)
  t.same(calls(), [])
})
