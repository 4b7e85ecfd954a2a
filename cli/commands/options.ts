/** Collects a repeatable option. */
export const appendTo = (value: string, previous: readonly string[]): readonly string[] => [...previous, value]
