/**
 * JSON text that Postgres takes as `jsonb`.
 *
 * @module
 */

/** An escape, preceded by any number of escaped backslashes: `\\u0000` in the text is no escape. */
const unstorable = /(?<!\\)((?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})/g;

/**
 * `jsonb` holds neither U+0000 nor half of a surrogate pair (what cutting a text in the middle of an
 * emoji leaves): both become U+FFFD. Whole pairs are never escaped by `JSON.stringify`.
 */
export function toJsonb(value: unknown): string {
  const text = JSON.stringify(value);
  return text.includes("\\u") ? text.replaceAll(unstorable, "$1\\ufffd") : text;
}
