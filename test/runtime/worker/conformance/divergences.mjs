/**
 * Where a runner does not do what the row says, and why. The suite fails when a row diverges that is
 * not here, and when one that is here passes.
 *
 * `on`: `real-deno`, or the isolation of our worker. `since`/`until`: majors of Node, both inclusive.
 *
 * @module
 */

export const divergences = [
  {
    row: 27,
    on: ["real-deno"],
    why: "Deno 2.9 hands `undefined` over as null; the HTML standard, and we, keep it.",
  },
  {
    row: 73,
    on: ["real-deno"],
    why: "Deno 2.9 does not interrupt a worker that spins: it burns a core until the process ends.",
  },
];

/** @returns {Map<number, string>} the reasons, by row. */
export function divergencesOf(runner, nodeMajor) {
  const found = divergences.filter(
    ({ on, since = 0, until = Infinity }) =>
      on.includes(runner) && (runner === "real-deno" || (nodeMajor >= since && nodeMajor <= until)),
  );
  return new Map(found.map(({ row, why }) => [row, why]));
}
