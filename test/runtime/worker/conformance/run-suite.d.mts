export type Target =
  | { readonly runtime: "deno" }
  | {
      readonly runtime: "node";
      readonly isolation: "thread" | "process" | "deno";
      /** The binary; by default the one that runs this. */
      readonly node?: string;
    };

export interface RowResult {
  readonly title: string;
  readonly passed: boolean;
  readonly why?: string;
}

export const denoBin: string;
export function runSuite(
  target: Target,
  rows?: readonly number[],
  divergent?: readonly number[],
): Promise<ReadonlyMap<number, RowResult>>;
