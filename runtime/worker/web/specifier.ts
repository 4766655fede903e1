/**
 * From what `new Worker` was given to a URL.
 *
 * @module
 */

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
