import { join } from 'node:path'
import { Option } from 'commander'
import { packageRoot } from '../../kit/root.ts'

const STANDARD = join(packageRoot, '.millrace')

/** The folder of the local `up` that is asked about. */
export const stateDirOption = (): Option =>
  new Option('--state-dir <path>', 'the state folder of the local millrace up')
    .env('MILLRACE_UP_STATE_DIR')
    .default(STANDARD, '.millrace in the installation')

/** Where that `up` keeps what it fetched. */
export const toolsDirOption = (): Option =>
  new Option('--tools-dir <path>', 'where fetched tools are kept')
    .env('MILLRACE_UP_TOOLS_DIR')
    .default(STANDARD, '.millrace in the installation')
