/** Prometheus's text, as far as `top` needs it: counters with labels. Pure. */

export interface MetricSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const LINE = /^(?<name>[a-zA-Z_:][\w:]*)(?:\{(?<labels>.*)\})? (?<value>\S+)(?: \d+)?$/
const LABEL = /(?<name>[a-zA-Z_]\w*)="(?<value>(?:[^"\\]|\\.)*)"/g

/** Lines of the given metrics; everything else, comments included, is passed over. */
export function parseSamples(text: string, names: ReadonlySet<string>): readonly MetricSample[] {
  return text.split('\n').flatMap((line) => {
    const found = LINE.exec(line)?.groups
    const name = found?.['name'] ?? ''
    if (!names.has(name)) return []
    const labels = [...(found?.['labels'] ?? '').matchAll(LABEL)].map(
      ({ groups }) => [groups?.['name'] ?? '', unescape(groups?.['value'] ?? '')] as const,
    )
    return [{ name, labels: Object.fromEntries(labels), value: Number(found?.['value']) }]
  })
}

const unescape = (value: string): string =>
  value.replaceAll(/\\(?<what>.)/g, (_all, what: string) => (what === 'n' ? '\n' : what))
