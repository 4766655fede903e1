/** `[row, title, run]` of every case. */
export const cases: readonly (readonly [
  row: number,
  title: string,
  run: (tools: never) => Promise<void>,
])[];
