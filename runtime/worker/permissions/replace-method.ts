/**
 * Replaces a method by one that asks first.
 *
 * @module
 */

export type Method = (...args: readonly unknown[]) => unknown;

type Wrapped = (self: unknown, args: readonly unknown[]) => unknown;

/** For good: neither replaced nor deleted afterwards. Does nothing where this Node has no such method. */
export function replaceMethod(
  target: object,
  name: string,
  wrap: (original: Method) => Wrapped,
): void {
  const original: unknown = Reflect.get(target, name);
  if (typeof original !== "function") return;
  const wrapped = wrap(original as Method);
  const replacement = function (this: unknown, ...args: unknown[]): unknown {
    return wrapped(this, args);
  };
  // What Node hangs on its functions (`util.promisify.custom`) would lead to the original.
  Object.defineProperty(replacement, "name", { value: name });
  Object.defineProperty(target, name, {
    value: replacement,
    enumerable: true,
    configurable: false,
    writable: false,
  });
}
