/** Options of a process as its command line takes them: `{ 'rest-port': 1 }` is `--rest-port 1`. */
export const processFlags = (values: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)])
