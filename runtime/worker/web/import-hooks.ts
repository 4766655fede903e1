/**
 * What Deno does at imports and Node does not: dynamic imports are checked against the worker's own
 * permissions, and `import.meta.main` is true in its root module. Needs Node 22.15.
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
  /** The static graph is loaded: from now on imports are the worker's own. */
  begin(): void;
}

/** Does nothing on an older Node. */
export function installImportHooks(
  root: string,
  location: string,
  permissions: () => PermissionSet,
): ImportHooks {
  const register: unknown = Reflect.get(nodeModule, "registerHooks");
  let begun = false;
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
      load: (url, context, next) => withMain(next(url, context), url === root),
    });
  }
  return {
    begin: () => {
      begun = true;
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

/** Only a module that asks for it is changed; it keeps its lines. */
function withMain(loaded: Loaded, isRoot: boolean): Loaded {
  const { source } = loaded;
  if (source === undefined || source === null) return loaded;
  const text = typeof source === "string" ? source : new TextDecoder().decode(source);
  if (!text.includes("import.meta.main")) return loaded;
  return { ...loaded, source: `import.meta.main=${isRoot};${text}` };
}
