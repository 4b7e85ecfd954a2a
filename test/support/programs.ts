/** What tests run as processes, as it was built: one that has to be translated first takes twice the time to start. */
import { join } from 'node:path'
import { packageRoot } from '../../kit/root.ts'

/** The `millrace` command. */
export const MILLRACE = join(packageRoot, 'dist/bin/millrace.js')

/** A program of `test/support`; tsconfig.build.json names them. */
export const testProgram = (name: 'test-model-server' | 'lifecycle-child'): string =>
  join(packageRoot, `dist/test/support/${name}.js`)
