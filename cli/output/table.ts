/** Columns as wide as their widest cell; the last is not padded. Colours are added after the widths are known. */
export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string
  /** Applied to the padded cell. */
  readonly paint?: (text: string, row: Row) => string
}

const GAP = '   '
const EMPTY = '-'

export function toTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): readonly string[] {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.cell(row))))
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => (line[index] ?? '').length)),
  )
  const join = (line: readonly string[], row?: Row): string =>
    line
      .map((text, index) => {
        const padded = index === line.length - 1 ? text : text.padEnd(widths[index] ?? 0)
        const paint = columns[index]?.paint
        return row === undefined || paint === undefined ? padded : paint(padded, row)
      })
      .join(GAP)
      .trimEnd()
  const titles = columns.map((column) => column.title)
  return [join(titles), ...cells.map((line, index) => join(line, rows[index]))]
}

const oneLine = (text: string): string => (text === '' ? EMPTY : text.replaceAll(/\s+/g, ' '))
