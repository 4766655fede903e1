/**
 * Says where the text of a JSON file stops being JSON (RFC 8259), since `JSON.parse` does not always tell.
 * It never builds values; `JSON.parse` has already refused the text when this is asked.
 *
 * @module
 */

export interface JsonSyntaxError {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** What was wrong there, in words. */
  readonly problem: string;
}

const token =
  /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[[\]{},:]/y;
const space = /[ \t\r\n]*/y;

/** What may come next; the stack of open brackets decides what follows a value. */
type Expect = "value" | "value or ]" | "key or }" | "key" | ":" | ", or end";

/** The first place that no JSON text can have, or undefined when the whole text is JSON. */
export function locateJsonError(text: string): JsonSyntaxError | undefined {
  const open: ("{" | "[")[] = [];
  let expect: Expect = "value";
  let at = 0;
  for (;;) {
    space.lastIndex = at;
    space.exec(text);
    at = space.lastIndex;
    token.lastIndex = at;
    const found = token.exec(text)?.[0];
    if (at >= text.length) {
      if (open.length === 0 && expect === ", or end") return undefined;
      return place(text, at, `the file ends too early, ${describe(expect, open)} must follow`);
    }
    const next: Expect | undefined = found === undefined ? undefined : step(found, expect, open);
    if (found === undefined || next === undefined) {
      return place(text, at, problemAt(text, at, found, describe(expect, open)));
    }
    expect = next;
    at = token.lastIndex;
  }
}

/** The expectation after `found`, or undefined when `found` may not stand here. Pushes and pops `open`. */
function step(found: string, expect: Expect, open: ("{" | "[")[]): Expect | undefined {
  const top = open.at(-1);
  if (expect === ":") return found === ":" ? "value" : undefined;
  if (expect === ", or end") {
    if (found === ",") return top === undefined ? undefined : top === "{" ? "key" : "value";
    return close(found, open);
  }
  if (expect === "key" || expect === "key or }") {
    if (found.startsWith('"')) return ":";
    return expect === "key or }" ? close(found, open) : undefined;
  }
  if (found === "{" || found === "[") {
    open.push(found);
    return found === "{" ? "key or }" : "value or ]";
  }
  if (found === "]" && expect === "value or ]") return close(found, open);
  return /^[\]},:]/.test(found) ? undefined : ", or end";
}

function close(found: string, open: ("{" | "[")[]): Expect | undefined {
  if (found !== (open.at(-1) === "{" ? "}" : "]") || open.length === 0) return undefined;
  open.pop();
  return ", or end";
}

function describe(expect: Expect, open: readonly ("{" | "[")[]): string {
  if (expect === "value") return "a value";
  if (expect === "value or ]") return 'a value or "]"';
  if (expect === "key") return "a key in double quotes";
  if (expect === "key or }") return 'a key in double quotes or "}"';
  if (expect === ":") return '":"';
  if (open.length === 0) return "nothing";
  return open.at(-1) === "{" ? '"," or "}"' : '"," or "]"';
}

function problemAt(text: string, at: number, found: string | undefined, expected: string): string {
  if (/^\/[/*]/.test(text.slice(at, at + 2))) return "JSON has no comments";
  const before = text.slice(0, at).trimEnd();
  if (before.endsWith(",") && /[\]}]/.test(text[at] ?? "")) {
    return `no comma may stand before "${text[at]}"`;
  }
  const rest = text.slice(at, at + 40);
  const word = found?.slice(0, 40) ?? /^[\w$.+-]+|^./su.exec(rest)?.[0] ?? "";
  const bad = word === '"' ? "a string without an end on its line, or with a bad escape" : word;
  return `${expected} must follow here, not ${bad}`;
}

function place(text: string, at: number, problem: string): JsonSyntaxError {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, problem };
}
