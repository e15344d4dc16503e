/** Every command of the documents, run on a node just installed: it prints what the document says. */
import t from 'tap'
import { CleanNode } from './fixtures/clean-node'
import { documents, pattern, stepsOf } from './fixtures/document'

const skip = process.getuid?.() === 0 ? false : 'changing the root folder needs root'

for (const { path, with: options } of documents) {
  t.test(path, { skip }, async t => {
    const node = await CleanNode.create(t, options)
    for (const step of stepsOf(path)) {
      const place = `${path}:${step.line}`
      if (step.kind === 'not run') {
        t.ok(step.reason, `${place} is not run: ${step.reason}`)
      } else if (step.kind === 'file') {
        await node.write(step.path, step.text)
      } else {
        const answers = await node.run(step.commands)
        step.commands.forEach(({ command, output }, index) => {
          const { code, printed } = answers[index] ?? { code: -1, printed: '' }
          if (!pattern(output).test(printed)) t.equal(printed, output, `${place}: ${command}`)
          else t.ok(code === 0 || output, `${place}: ${command}: exit code ${code}`)
        })
      }
    }
  })
}
