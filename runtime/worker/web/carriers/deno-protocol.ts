/**
 * What the scope in a Deno worker tells its relay, between the worker's own messages. What it must
 * know from the first line on stands in the URL that it is imported by; the first message of the
 * relay is the shared memory of five f64 that it writes `LoopFigures` to.
 *
 * @module
 */

/** A message `<token>exit:<code>` is the last one of a worker that ends itself. */
export const exitWord = "exit:";
/** A message `<token>closed` on a port says that its other end was closed: Deno does not. */
export const closedWord = "closed";
