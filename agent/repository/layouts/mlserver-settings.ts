/** The content of `model-settings.json`: made from what a model requires, or taken over from the artefact. Pure. */
import { ServingError } from '../../../kit/errors.ts'
import type { CallBack, DesiredModel } from '../../desired/desired.ts'
import type { Ingress } from './layout.ts'
import { invalidDocument, type JsonObject, objectIn, parseObject } from './json-document.ts'

export const SETTINGS_FILE = 'model-settings.json'

/** The internal name carries the version that users see: to MLServer each one is a model with a single version. */
const ONLY_VERSION = '1'

/** The first level of the artefact's folder, sorted. */
export interface ArtifactContent {
  readonly files: readonly string[]
  readonly folders: readonly string[]
  /** The Python files among them. */
  readonly python: readonly { readonly file: string; readonly source: string }[]
}

/** How MLServer serves what a model may require. */
interface Recipe {
  /** What the artefact must hold, for people. */
  readonly needs: string
  /** Undefined when the artefact does not hold it. */
  settings(content: ArtifactContent): JsonObject | undefined
}

const RECIPES: Readonly<Record<string, Recipe>> = {
  sklearn: ofFile('mlserver_sklearn.SKLearnModel', ['.joblib', '.pkl', '.pickle']),
  xgboost: ofFile('mlserver_xgboost.XGBoostModel', ['.json', '.bst']),
  lightgbm: ofFile('mlserver_lightgbm.LightGBMModel', ['.bst']),
  mlflow: ofFolder('mlserver_mlflow.MLflowRuntime'),
  'alibi-detect': ofFolder('mlserver_alibi_detect.AlibiDetectRuntime'),
  'alibi-explain': {
    needs: 'a folder',
    settings: ({ folders: [first] }) =>
      first === undefined
        ? undefined
        : {
            implementation: 'mlserver_alibi_explain.AlibiExplainRuntime',
            parallel_workers: 0,
            parameters: { uri: `./${first}` },
          },
  },
  python: {
    needs: 'a .py file with a class X(MLModel)',
    settings({ python }) {
      const [implementation] = python.flatMap(({ file, source }) => toImplementation(file, source))
      return implementation === undefined ? undefined : { implementation }
    },
  },
}

/**
 * Settings for an artefact that brings none, by the first requirement that is recognised.
 * @throws ServingError ARTIFACT_INVALID
 */
export function synthesiseSettings(content: ArtifactContent, requirements: readonly string[]): JsonObject {
  const requirement = requirements.find((name) => Object.hasOwn(RECIPES, name))
  const recipe = requirement === undefined ? undefined : RECIPES[requirement]
  if (requirement === undefined || recipe === undefined)
    throw new ServingError(
      'ARTIFACT_INVALID',
      `the artefact has no ${SETTINGS_FILE}, and none of the requirements (${requirements.join(', ') || 'none'}) says ` +
        `how to serve it: add the file, or require one of ${Object.keys(RECIPES).join(', ')}`,
    )
  const settings = recipe.settings(content)
  if (settings !== undefined) return settings
  throw new ServingError(
    'ARTIFACT_INVALID',
    `the artefact has no ${SETTINGS_FILE}, and for the requirement ${requirement} it must hold ${recipe.needs}: ` +
      `it holds ${[...content.files, ...content.folders].join(', ') || 'nothing'}`,
  )
}

/**
 * The settings under the internal name, with the model's parameters laid over those of the artefact; what else they
 * hold, fields that we do not know included, stays. @throws ServingError ARTIFACT_INVALID
 */
export function toModelSettings(source: string, model: DesiredModel, ingress: Ingress): JsonObject {
  const own = parseObject(SETTINGS_FILE, source)
  if (typeof own['implementation'] !== 'string' || own['implementation'] === '')
    throw invalidDocument(SETTINGS_FILE, '/implementation must name the Python class that serves the model')
  const parameters = objectIn(SETTINGS_FILE, own, 'parameters')
  const extra = {
    ...objectIn(SETTINGS_FILE, parameters, 'extra', '/parameters/extra'),
    ...model.parameters,
    ...toCallBackExtra(model.callBack, ingress),
  }
  const workers = model.callBack === undefined ? {} : { parallel_workers: 0 } // it asks over connections of its own
  return { ...own, ...workers, name: model.internalName, parameters: { ...parameters, version: ONLY_VERSION, extra } }
}

/** Where an explainer asks what it explains, as MLServer's runtimes read it. */
function toCallBackExtra(callBack: CallBack | undefined, { url, ca }: Ingress): JsonObject {
  if (callBack === undefined) return {}
  const { explainerType, kind, name } = callBack
  return {
    infer_uri: `${url.replace(/\/+$/, '')}/v2/${kind}/${name}/infer`,
    ...(explainerType === '' ? {} : { explainer_type: explainerType }),
    ...(url.startsWith('https:') && ca !== undefined ? { ssl_verify_path: ca } : {}),
  }
}

function ofFile(implementation: string, suffixes: readonly string[]): Recipe {
  return {
    needs: `a file *${suffixes.join(', *')}`,
    settings({ files }) {
      const fitting = suffixes.flatMap((suffix) => files.filter((name) => name.endsWith(suffix)))
      const file = fitting.find((name) => name.startsWith('model.')) ?? fitting[0]
      return file === undefined ? undefined : { implementation, parameters: { uri: `./${file}` } }
    },
  }
}

function ofFolder(implementation: string): Recipe {
  return { needs: 'a file', settings: () => ({ implementation, parameters: { uri: './' } }) }
}

const MODEL_CLASS = /^class\s+(\w+)\s*\(\s*(?:[\w.]+\.)?MLModel\s*\)\s*:/m

/** `<file>.<class>`; none when the file defines no model. */
function toImplementation(file: string, source: string): string[] {
  const name = MODEL_CLASS.exec(source)?.[1]
  return name === undefined ? [] : [`${file.slice(0, -'.py'.length)}.${name}`]
}
