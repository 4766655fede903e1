/**
 * What the relay tells the scope in a Deno worker before anything else.
 *
 * @module
 */

export interface DenoInit {
  /** Known to relay and scope only: begins messages that are none of the worker's. */
  readonly token: string;
  /** `LoopFigures` as five f64, written by the worker's own loop. */
  readonly meter: SharedArrayBuffer;
  /** What `location` shows. */
  readonly location: string;
}

/** A message `<token>exit:<code>` is the last one of a worker that ends itself. */
export const exitWord = "exit:";
/** A message `<token>closed` on a port says that its other end was closed: Deno does not. */
export const closedWord = "closed";
