/**
 * Where a runner does not do what the row says, and why. The suite fails when a row diverges that is
 * not here, and when one that is here passes.
 *
 * `on`: `real-deno`, or the isolation of our worker. `since`/`until`: majors of Node, both inclusive.
 *
 * @module
 */

const hooks =
  "Node can hook imports in the same thread only from 22.15 on. On Node 20 Node's permission model refuses the import all the same, with its own text.";
const otherProcess = "Memory, streams and channels of one process do not reach into another.";

export const divergences = [
  {
    row: 27,
    on: ["real-deno", "deno"],
    why: "Deno 2.9 hands `undefined` over as null; the HTML standard, and we, keep it.",
  },
  {
    row: 73,
    on: ["real-deno"],
    why: "Deno 2.9 does not interrupt a worker that spins: it burns a core until the process ends.",
  },
  {
    row: 47,
    on: ["thread", "process"],
    until: 21,
    why: "`import.meta.main` needs a hook for modules in the thread itself: Node 22.15.",
  },
  {
    row: 95,
    on: ["thread", "process", "deno"],
    why: "Our permissions are not unstable, so there is no flag to ask for.",
  },
  {
    row: 47,
    on: ["deno"],
    why: "The root module is imported by the tier's own main module, so Deno does not take it for the main one.",
  },
  { row: 99, on: ["thread", "process"], until: 21, why: hooks },
  { row: 101, on: ["thread", "process"], until: 21, why: hooks },
  ...[36, 37, 38, 39].map((row) => ({
    row,
    on: ["process", "deno"],
    why: otherProcess,
  })),
  {
    row: 81,
    on: ["deno"],
    why: "Deno has a set of its own: what its worker gives up is not told to the maker.",
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
