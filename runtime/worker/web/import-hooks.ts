/**
 * What Deno does at imports and Node does not: dynamic imports are checked against the worker's own
 * permissions, and `import.meta.main` is true in its root module. And what V8 needs so that a thread
 * can be interrupted (`thread.ts`): the root module has a top-level await. Needs Node 22.15.
 *
 * @module
 */

import * as nodeModule from "node:module";
import { fileURLToPath } from "node:url";
import {
  NotCapable,
  type PermissionSet,
  requirePermission,
} from "../../../machines/permissions.ts";
import { hostOf } from "./root.ts";

interface Context {
  readonly parentURL?: string;
}
interface Loaded {
  readonly format?: string | null;
  readonly source?: string | ArrayBuffer | Uint8Array | null;
}
interface Hooks {
  resolve(
    specifier: string,
    context: Context,
    next: (specifier: string, context: Context) => { readonly url: string },
  ): { readonly url: string };
  load(url: string, context: object, next: (url: string, context: object) => Loaded): Loaded;
}
type RegisterHooks = (hooks: Hooks) => unknown;

/** Our own modules import by themselves, later too. */
const ownCode = new URL("../../../", import.meta.url).href;

export interface ImportHooks {
  /**
   * The static graph is loaded: from now on imports are the worker's own.
   * `interruptible`: none of it is in danger while it is evaluated.
   */
  begin(): { readonly interruptible: boolean };
}

const register: unknown = Reflect.get(nodeModule, "registerHooks");

/** Root modules get an await; V8 of Node 20 would be worse off with one. */
export const hooksAwait = typeof register === "function";

export interface ModuleUrls {
  /** Of our own, which imports the root. */
  readonly entry: string;
  readonly root: string;
  /** What relative imports of no module are resolved against. */
  readonly location: string;
}

/** Does nothing on an older Node. */
export function installImportHooks(
  { entry, root, location }: ModuleUrls,
  permissions: () => PermissionSet,
): ImportHooks {
  let begun = false;
  let mayAwait = typeof register !== "function";
  const known = new Set<string>();
  if (typeof register === "function") {
    (register as RegisterHooks)({
      resolve: (specifier, context, next) => {
        const isOwn = context.parentURL?.startsWith(ownCode) === true;
        if (begun && !isOwn) check(specifier, context.parentURL ?? location, known, permissions());
        const resolved = next(specifier, context);
        if (!begun) known.add(resolved.url);
        return resolved;
      },
      load: (url, context, next) => {
        const isRoot = url === root;
        const loaded = withMain(next(url, context), isRoot);
        if (url === entry) return loaded;
        if (isRoot) return withAwait(loaded);
        mayAwait ||= !url.startsWith("node:") && awaits.test(textOf(loaded) ?? "");
        return loaded;
      },
    });
  }
  return {
    begin: () => {
      begun = true;
      return { interruptible: !mayAwait };
    },
  };
}

/** @throws {TypeError} With the text of Deno's `NotCapable`. */
function check(
  specifier: string,
  parentUrl: string,
  known: ReadonlySet<string>,
  permissions: PermissionSet,
): void {
  // A bare name is a package or a part of Node; where packages are, reading decides.
  if (!/^(?:\.{0,2}\/|file:|https?:)/.test(specifier)) return;
  const url = new URL(specifier, parentUrl);
  if (known.has(url.href)) return;
  try {
    if (url.protocol === "file:") requirePermission(permissions, "read", fileURLToPath(url));
    else requirePermission(permissions, "import", hostOf(url.href));
  } catch (error) {
    if (error instanceof NotCapable) throw new TypeError(error.message, { cause: error });
    throw error;
  }
}

/** In a function, too: it is enough to know of modules that it cannot be at their top. */
const awaits = /\bawait\b/;

/** A line of its own, since the last may be a comment. What it waits for is over at once. */
function withAwait(loaded: Loaded): Loaded {
  const isModule = loaded.format === "module" || loaded.format === "module-typescript";
  const text = textOf(loaded);
  return !isModule || text === undefined
    ? loaded
    : { ...loaded, source: `${text}\nawait undefined;` };
}

function textOf({ source }: Loaded): string | undefined {
  if (source === undefined || source === null) return undefined;
  return typeof source === "string" ? source : new TextDecoder().decode(source);
}

/** Only a module that asks for it is changed; it keeps its lines. */
function withMain(loaded: Loaded, isRoot: boolean): Loaded {
  const text = textOf(loaded);
  if (text === undefined || !text.includes("import.meta.main")) return loaded;
  return { ...loaded, source: `import.meta.main=${isRoot};${text}` };
}
