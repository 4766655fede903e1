/**
 * A promise that is settled from outside. Node 20 has no `Promise.withResolvers`.
 *
 * @module
 */

export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

export function createDeferred<T>(): Deferred<T> {
  let settle: Pick<Deferred<T>, "resolve" | "reject"> | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // The executor above has run: the constructor calls it at once.
  return { promise, ...(settle as Pick<Deferred<T>, "resolve" | "reject">) };
}
