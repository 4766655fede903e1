/**
 * Addresses of actors: the path in the supervision tree; with `#3` it means that incarnation only.
 *
 * @module
 */

export interface Address {
  /** `/root/actors/COUNTER`. */
  readonly path: string;
  readonly incarnation?: number;
}

/** @throws {TypeError} For text that is no address. */
export function parseAddress(text: string): Address {
  const found = readAddress(text);
  if (found === undefined)
    throw new TypeError(`Cannot read the address "${text}": it is no /path#number`);
  return found;
}

/** The address, or undefined for text that is none. */
export function readAddress(text: string): Address | undefined {
  const found = /^(\/[^#]*[^#/])(?:#(\d+))?$/.exec(text);
  if (found === null) return undefined;
  const [, path = "", incarnation] = found;
  return incarnation === undefined ? { path } : { path, incarnation: Number(incarnation) };
}
