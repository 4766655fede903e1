export type Runner = "real-deno" | "thread" | "process" | "deno";

export interface Divergence {
  readonly row: number;
  readonly on: readonly Runner[];
  readonly since?: number;
  readonly until?: number;
  readonly why: string;
}

export const divergences: readonly Divergence[];
export function divergencesOf(runner: Runner, nodeMajor: number): ReadonlyMap<number, string>;
