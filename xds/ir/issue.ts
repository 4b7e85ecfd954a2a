/** One thing wrong with a change. */
export interface IrIssue {
  readonly path: string
  readonly message: string
}
