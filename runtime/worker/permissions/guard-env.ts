/**
 * `process.env` in a worker: what is not granted is refused, as Deno does.
 * The values are not there either: the thread was given only the granted ones.
 *
 * @module
 */

import { type PermissionSet, permits, requires } from "../../../machines/permissions.ts";

let looksUnset = false;

/**
 * From now on a variable that is not granted looks unset instead of throwing `NotCapable`: for workers
 * whose libraries ask for variables as they please. It gives no value away.
 */
export function ungrantedEnvLooksUnset(): void {
  looksUnset = true;
}

/** Node and its console ask for these themselves; they look unset. */
const askedByNode =
  /^(?:NODE_.*|WATCH_REPORT_DEPENDENCIES|UNDICI_.*|(?:HTTPS?|NO|ALL)_PROXY|(?:FORCE|NO)_COLOR|COLORTERM|TERM(?:_PROGRAM)?|TMPDIR|TMP|TEMP|CI)$/i;

export function guardEnv(permissions: () => PermissionSet): void {
  // The worker's own environment, which its maker has filtered.
  const env = Reflect.get(process, "env") as NodeJS.ProcessEnv;
  const mayUse = (name: string): boolean => name !== "" && permits(permissions(), "env", name);
  const check = (name: string): boolean => {
    if (mayUse(name)) return true;
    if (looksUnset || askedByNode.test(name)) return false;
    throw requires("env", name);
  };
  const guarded = new Proxy(env, {
    get: (target, name) =>
      typeof name === "symbol" || check(name) ? Reflect.get(target, name) : undefined,
    has: (target, name) => (typeof name === "symbol" || check(name)) && Reflect.has(target, name),
    set: (target, name, value) => {
      if (typeof name === "string" && !mayUse(name)) throw requires("env", name);
      return Reflect.set(target, name, value);
    },
    deleteProperty: (target, name) => {
      // What looks unset is as good as deleted.
      if (typeof name === "string" && !check(name)) return true;
      return Reflect.deleteProperty(target, name);
    },
    defineProperty: (target, name, descriptor) => {
      if (typeof name === "string" && !mayUse(name)) throw requires("env", name);
      return Reflect.defineProperty(target, name, descriptor);
    },
    getOwnPropertyDescriptor: (target, name) =>
      typeof name === "symbol" || check(name)
        ? Reflect.getOwnPropertyDescriptor(target, name)
        : undefined,
    ownKeys: (target) =>
      Reflect.ownKeys(target).filter((name) => typeof name === "symbol" || mayUse(name)),
  });
  Object.defineProperty(process, "env", {
    value: guarded,
    enumerable: true,
    configurable: false,
    writable: false,
  });
}
