/** Markdown, as the generated documents need it. */

export const MADE_FROM = (source: string): string => `<!-- Made from ${source} by \`npm run docs\`: do not edit. -->`

export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)].join('\n')
}

export const page = (blocks: readonly string[]): string => `${blocks.join('\n\n')}\n`
