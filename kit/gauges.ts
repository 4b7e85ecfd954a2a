/** Gauges whose values are read when somebody asks for them. */
import { Gauge, type Registry } from 'prom-client'

export interface Gauges {
  readonly one: (name: string, help: string, read: () => number) => void
  /** A value for each of what the label names. */
  readonly per: (label: string, name: string, help: string, read: () => ReadonlyMap<string, number>) => void
}

export function gaugesOf(registry: Registry): Gauges {
  const registers = [registry]
  return {
    one: (name, help, read) => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    },
    per: (label, name, help, read) => {
      new Gauge({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset()
          for (const [of, value] of read()) this.set({ [label]: of }, value)
        },
      })
    },
  }
}
