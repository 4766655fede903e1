/**
 * From what `new Worker` was given to a URL, and to what can be imported for it.
 *
 * @module
 */

import { resolveObjectURL } from "node:buffer";

/** Needs a base; a bare word is a URL without a scheme, which no base makes one. */
const isRelative = /^\.{0,2}\//;

/** @throws {URIError} With Deno's text. */
export function resolveSpecifier(specifier: string, location: string | undefined): string {
  const base = isRelative.test(specifier) ? location : undefined;
  try {
    return new URL(specifier, base).href;
  } catch (error) {
    const why =
      isRelative.test(specifier) || !specifier.includes(":")
        ? "relative URL without a base"
        : "malformed";
    throw new URIError(`invalid URL: ${why}: ${JSON.stringify(specifier)}`, { cause: error });
  }
}

/**
 * What to import for `url`, where it is not `url` itself. A blob is taken at once, since its URL
 * may be revoked right after the constructor has returned.
 */
export function rootOf(url: string): Promise<string> | undefined {
  if (!url.startsWith("blob:")) return undefined;
  const blob = resolveObjectURL(url);
  if (blob === undefined) return Promise.reject(new Error(`Module not found "${url}".`));
  return blob.text().then((text) => `data:text/javascript,${encodeURIComponent(text)}`);
}
