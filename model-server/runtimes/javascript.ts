/**
 * JavaScript models: `model.js` with `infer`, and `load` if it likes, each model in a thread of its own with limits of
 * heap and time. A thread is no sandbox: a model can do all that the server's user can. docs/javascript-models.md
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Parameters } from '../../api/oip/parameters.ts'
import { ServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { type JavascriptLimits, parseJavascriptDocument } from './javascript-document.ts'
import { type JavascriptModel, startJavascriptModel } from './javascript-model.ts'
import { startJavascriptThread } from './javascript-thread.ts'
import type { Runtime } from './runtime.ts'

const PLATFORM = 'javascript'
const ARTIFACT = 'model.js'

/** `limits` hold for every model that asks for no less. */
export function createJavascriptRuntime(limits: JavascriptLimits, log: Logger): Runtime {
  const models = new Set<JavascriptModel>()
  return {
    platform: PLATFORM,
    artifact: ARTIFACT,
    async load({ internalName: name, path: folder, document }) {
      const declared = parseJavascriptDocument(document, limits)
      if (!existsSync(join(folder, ARTIFACT))) throw new ServingError('LOAD_FAILED', `the model has no ${ARTIFACT}`)
      const data = { name, folder, parameters: toPlain(document.parameters), outputs: declared.outputs }
      const model = await startJavascriptModel({
        name,
        start: (deps) => startJavascriptThread({ ...deps, data, limits: declared.limits }),
        log,
      })
      models.add(model)
      return {
        inputs: declared.inputs,
        outputs: declared.outputs,
        infer: (inputs, outputs, signal) => model.infer(inputs, outputs, signal),
        close() {
          models.delete(model)
          model.close()
          return Promise.resolve()
        },
      }
    },
    stop() {
      for (const model of models) model.close()
      return Promise.resolve()
    },
  }
}

/** In place of the runtime where it is not enabled: says how to enable it. */
export const javascriptNotEnabled: Runtime = {
  platform: PLATFORM,
  artifact: ARTIFACT,
  load: () =>
    Promise.reject(
      new ServingError(
        'LOAD_FAILED',
        'JavaScript models are not enabled on this server: start it with --javascript-models, if you trust them as you trust the server',
      ),
    ),
  stop: () => Promise.resolve(),
}

/** Integers are bigint in the protocol's parameters; those of `model.json` fit a number. */
const toPlain = (parameters: Parameters): Record<string, string | number | boolean> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
  )
