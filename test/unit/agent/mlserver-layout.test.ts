import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mlserverLayout, selectMlserverFolder } from '../../../agent/repository/layouts/mlserver.ts'
import { synthesiseSettings, toModelSettings } from '../../../agent/repository/layouts/mlserver-settings.ts'
import { model } from './models.ts'

const SETTINGS = 'model-settings.json'

describe('the folder of an artefact for MLServer', () => {
  it.each<[string, string[], string[], number | undefined, string]>([
    ['the highest number that holds settings when none is asked for', ['1', '2', '3'], [], undefined, '3'],
    ['numbers are compared as numbers', ['9', '10'], [], undefined, '10'],
    ['the one that is asked for', ['1', '2', '3'], [], 2, '2'],
    ['settings in the root win', ['1'], [SETTINGS], undefined, ''],
    ['settings in the root win over a version that is asked for', ['1'], [SETTINGS], 1, ''],
    ['the root when no numbered folder holds settings', ['weights'], ['model.joblib'], undefined, ''],
  ])('%s', (_name, describedFolders, files, requested, expected) => {
    const folders = [...describedFolders, '99'] // a number without settings is passed over
    expect(selectMlserverFolder({ folders, files, describedFolders }, requested)).toBe(expected)
  })

  it.each<[string, string[], string]>([
    ['is not there', ['1', '3', 'x'], 'artifactVersion 2 is not in the artefact: it has 1, 3'],
    ['holds no settings', [], `artifactVersion 2 is not in the artefact: it has no numbered folder with ${SETTINGS}`],
    ['is ambiguous', ['2', '02'], 'artifactVersion 2 is there more than once: it has 2, 02'],
  ])('the version that is asked for %s', (_name, describedFolders, message) => {
    const listing = { folders: ['2', ...describedFolders], files: [], describedFolders }
    expect(() => selectMlserverFolder(listing, 2)).toThrow(message)
  })
})

describe('settings for an artefact that brings none', () => {
  const content = (files: string[], folders: string[] = [], python: Readonly<Record<string, string>> = {}) => ({
    files: [...files, ...Object.keys(python)],
    folders,
    python: Object.entries(python).map(([file, source]) => ({ file, source })),
  })
  const CLASS = 'import mlserver\n\nclass Sum(mlserver.MLModel):\n    pass\n'

  it.each([
    ['sklearn', content(['iris.joblib']), 'mlserver_sklearn.SKLearnModel', './iris.joblib'],
    ['sklearn', content(['a.pkl']), 'mlserver_sklearn.SKLearnModel', './a.pkl'],
    ['sklearn', content(['a.pickle']), 'mlserver_sklearn.SKLearnModel', './a.pickle'],
    ['sklearn', content(['a.pkl', 'scaler.joblib', 'model.pkl']), 'mlserver_sklearn.SKLearnModel', './model.pkl'],
    ['xgboost', content(['a.bst', 'a.json']), 'mlserver_xgboost.XGBoostModel', './a.json'],
    ['xgboost', content(['a.bst']), 'mlserver_xgboost.XGBoostModel', './a.bst'],
    ['lightgbm', content(['a.bst']), 'mlserver_lightgbm.LightGBMModel', './a.bst'],
    ['mlflow', content(['MLmodel']), 'mlserver_mlflow.MLflowRuntime', './'],
    ['alibi-detect', content(['OutlierVAE.dill']), 'mlserver_alibi_detect.AlibiDetectRuntime', './'],
    ['python', content([], [], { 'util.py': 'X = 1', 'sum.py': CLASS }), 'sum.Sum', undefined],
  ])('%s', (requirement, artefact, implementation, uri) => {
    expect(synthesiseSettings(artefact, ['mlserver', requirement])).toEqual({
      implementation,
      ...(uri === undefined ? {} : { parameters: { uri } }),
    })
  })

  it('alibi-explain takes its first folder, and no workers', () => {
    expect(synthesiseSettings(content([], ['data', 'other']), ['alibi-explain'])).toEqual({
      implementation: 'mlserver_alibi_explain.AlibiExplainRuntime',
      parallel_workers: 0,
      parameters: { uri: './data' },
    })
  })

  it('the first requirement that is recognised decides', () => {
    expect(synthesiseSettings(content(['a.bst']), ['gpu', 'lightgbm', 'xgboost'])).toMatchObject({
      implementation: 'mlserver_lightgbm.LightGBMModel',
    })
  })

  it.each([
    [
      'sklearn',
      content(['model.onnx'], ['1']),
      'it must hold a file *.joblib, *.pkl, *.pickle: it holds model.onnx, 1',
    ],
    ['lightgbm', content([]), 'it must hold a file *.bst: it holds nothing'],
    ['alibi-explain', content(['a']), 'it must hold a folder: it holds a'],
    ['python', content([], [], { 'a.py': '# class Sum(MLModel):' }), 'must hold a .py file with a class X(MLModel)'],
    ['huggingface', content([]), 'none of the requirements (huggingface) says how to serve it'],
    ['toString', content([]), 'none of the requirements (toString) says how to serve it'],
  ])('%s is refused when the artefact does not hold what it needs', (requirement, artefact, message) => {
    expect(() => synthesiseSettings(artefact, [requirement])).toThrow(message)
  })
})

const INGRESS = { url: 'http://envoy:9000/', ca: '/unused' }

describe('model-settings.json for MLServer', () => {
  it.each([
    ['models', 'income', 'anchor_tabular', {}, { infer_uri: 'http://envoy:9000/v2/models/income/infer' }],
    ['pipelines', 'chain', '', {}, { infer_uri: 'http://envoy:9000/v2/pipelines/chain/infer' }],
    [
      'models',
      'income',
      '',
      { url: 'https://envoy:9000', ca: '/ca.crt' },
      { infer_uri: 'https://envoy:9000/v2/models/income/infer', ssl_verify_path: '/ca.crt' },
    ],
  ] as const)('of one that calls %s %s says where', (kind, name, explainerType, ingress, expected) => {
    const own = '{"implementation":"a.B","parallel_workers":4,"parameters":{"extra":{"a":1}}}'
    const calling = model('explainer_1', { callBack: { explainerType, kind, name } })
    expect(toModelSettings(own, calling, { ...INGRESS, ...ingress })).toEqual({
      implementation: 'a.B',
      parallel_workers: 0,
      name: 'explainer_1',
      parameters: {
        version: '1',
        extra: { a: 1, ...expected, ...(explainerType === '' ? {} : { explainer_type: explainerType }) },
      },
    })
  })

  const given = model('iris_3', { parameters: { b: 'given', c: '7' } })

  it('keeps what the artefact says, unknown fields included, under the internal name and version 1', () => {
    const own = JSON.stringify({
      name: 'iris',
      implementation: 'model.Iris',
      max_batch_size: 4,
      unheard_of: { deep: [1] },
      parameters: { version: 'v9', uri: './here', content_type: 'np', extra: { a: 1, b: 'own' }, strange: null },
    })
    expect(toModelSettings(own, given, INGRESS)).toEqual({
      name: 'iris_3',
      implementation: 'model.Iris',
      max_batch_size: 4,
      unheard_of: { deep: [1] },
      parameters: {
        version: '1',
        uri: './here',
        content_type: 'np',
        extra: { a: 1, b: 'given', c: '7' },
        strange: null,
      },
    })
  })

  it.each([
    ['not JSON', '{', `${SETTINGS} of the artefact: `],
    ['a list', '[]', 'must be a JSON object'],
    ['no implementation', '{}', '/implementation must name the Python class'],
    ['parameters that are no object', '{"implementation":"a.B","parameters":[1]}', '/parameters must be an object'],
    ['extra that is no object', '{"implementation":"a.B","parameters":{"extra":1}}', '/parameters/extra must be an'],
  ])('is refused: %s', (_name, source, message) => {
    expect(() => toModelSettings(source, given, INGRESS)).toThrow(message)
  })
})

describe("a model's folder for MLServer", () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-mlserver-layout-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const write = (path: string, content: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }

  it('gets settings by what the model requires', async () => {
    write('model.joblib', 'weights')
    await mlserverLayout.describe(folder, model('iris_1', { requirements: ['sklearn'] }), INGRESS)
    expect(JSON.parse(readFileSync(join(folder, SETTINGS), 'utf8'))).toEqual({
      name: 'iris_1',
      implementation: 'mlserver_sklearn.SKLearnModel',
      parameters: { uri: './model.joblib', version: '1', extra: {} },
    })
  })

  it('keeps no settings below the root, which MLServer would take for other models', async () => {
    write(SETTINGS, '{"implementation":"a.B"}')
    write(`1/${SETTINGS}`, '{"implementation":"a.B","name":"neighbour_1"}')
    write('1/model.joblib', 'weights')
    await mlserverLayout.describe(folder, model('iris_1'), INGRESS)
    const left = readdirSync(folder, { recursive: true }).map(String).toSorted()
    expect(left).toEqual(['1', '1/model.joblib', SETTINGS])
  })
})
