import { accessSync, constants } from 'node:fs'
import { ServingError } from '../../kit/errors.ts'

/** The binary that the user chose by a variable. @throws ServingError TOOL_MISSING when it cannot be run */
export function fromEnvironment(variable: string, tool: string, environment: NodeJS.ProcessEnv): string | undefined {
  const path = environment[variable]
  if (path === undefined || path === '') return undefined
  try {
    accessSync(path, constants.X_OK)
    return path
  } catch (error) {
    const message = `${variable}=${path} cannot be run: correct it, or unset it to fetch ${tool}`
    throw new ServingError('TOOL_MISSING', message, { cause: error })
  }
}
