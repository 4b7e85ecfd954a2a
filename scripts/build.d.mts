/** Runs the named steps (all by default) whose inputs are newer than what they built. */
export function buildIfStale(names?: readonly string[]): Promise<void>
