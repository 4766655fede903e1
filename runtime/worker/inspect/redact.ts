/**
 * Makes JSON of any value that an actor holds, without its secrets and in bounded size.
 *
 * One list decides what a secret is: names of fields, and forms of text. What is left out is replaced
 * by a mark, so that a reader sees that something was there.
 *
 * @module
 */

import type { Json } from "../../../machines/error-code.ts";

export interface Limits {
  /** Levels of nesting; deeper values become `"…"`. */
  readonly depth: number;
  /** Entries of one object or array. */
  readonly entries: number;
  /** Values in all. */
  readonly nodes: number;
  /** UTF-16 units of one text. */
  readonly text: number;
}

export const eventLimits: Limits = { depth: 6, entries: 32, nodes: 256, text: 512 };
/** Definitions and contexts may be larger; ten levels as Stately's own inspector. */
export const snapshotLimits: Limits = { depth: 10, entries: 256, nodes: 4_096, text: 2_048 };

export const redacted = "[redacted]";
const cut = "…";

/** A field is secret when its name holds one of these words, in camelCase, snake_case or CAPITALS. */
const secretWords: ReadonlySet<string> = new Set([
  "password",
  "passwd",
  "pwd",
  "passphrase",
  "secret",
  "secrets",
  "credential",
  "credentials",
  "authorization",
  "cookie",
  "cookies",
  "jwt",
  "bearer",
  "dsn",
]);
/** Or when it ends in one of these. */
const secretEndings: readonly string[] = [
  "token",
  "api key",
  "apikey",
  "access key",
  "private key",
  "secret key",
  "signing key",
  "encryption key",
  "license key",
  "connection string",
  "database url",
  "redis url",
];

/** Texts that are secrets wherever they stand; each match is replaced. */
const secretTexts =
  /(?<=[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:)[^@\s/]+(?=@)|(?<=\bbearer\s+)[\w.~+/-]{8,}=*|(?<=[?&;\s"'-](?:[\w-]*(?:token|password|passwd|secret|api[-_]?key|access[-_]?key|signature|sig))=)[^&\s"';]+|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|\b(?:sk|pk|rk|spk|ghp|gho|ghs|glpat|npm|xox[abprs])[-_][\w-]{16,}|\bAKIA[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/gi;
/** Every form above holds one of these; most texts hold none, and are done. */
const suspicious = /:\/\/|bearer\s|=|eyJ|[-_]\w{16}|AKIA|-----BEGIN/i;

/** Names whose verdict is remembered. */
const maxKnownNames = 4_096;

export interface Redactor {
  /** Never throws: a getter that does becomes a mark. */
  json(value: unknown, limits: Limits): Json;
  /** JSON text of the same; the fast way for small plain objects. */
  text(value: unknown, limits: Limits): string;
}

/** @param names Further names of fields that are secret, whole and without regard to case. */
export function createRedactor(names: readonly string[] = []): Redactor {
  const further = new Set(names.map((name) => name.toLowerCase()));
  const verdicts = new Map<string, boolean>();

  function isSecretName(name: string): boolean {
    const known = verdicts.get(name);
    if (known !== undefined) return known;
    const verdict = further.has(name.toLowerCase()) || soundsSecret(name);
    if (verdicts.size < maxKnownNames) verdicts.set(name, verdict);
    return verdict;
  }

  /** True when `JSON.stringify` may have it as it is: flat, short, and nothing in it is secret. */
  function isHarmless(value: object): boolean {
    let entries = 0;
    for (const key in value) {
      const member = (value as Record<string, unknown>)[key];
      entries += 1;
      if (entries > eventLimits.entries) return false;
      if (typeof member === "string") {
        if (member.length > eventLimits.text || suspicious.test(member)) return false;
      } else if (typeof member !== "number" && typeof member !== "boolean") {
        return false;
      }
      if (isSecretName(key)) return false;
    }
    return true;
  }

  function json(value: unknown, limits: Limits): Json {
    return convert(value, limits, isSecretName);
  }

  return {
    json,
    text: (value, limits) => {
      const plain =
        typeof value === "object" &&
        value !== null &&
        Object.getPrototypeOf(value) === Object.prototype &&
        isHarmless(value);
      return JSON.stringify(plain ? value : json(value, limits));
    },
  };
}

function soundsSecret(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  if (words.some((word) => secretWords.has(word))) return true;
  const spoken = words.join(" ");
  return secretEndings.some((ending) => spoken === ending || spoken.endsWith(` ${ending}`));
}

function cleanText(text: string, maxLength: number): string {
  const short = text.length > maxLength ? text.slice(0, maxLength) + cut : text;
  return suspicious.test(short) ? short.replace(secretTexts, redacted) : short;
}

function convert(value: unknown, limits: Limits, isSecretName: (name: string) => boolean): Json {
  const open = new Set<object>();
  let nodes = 0;

  function walk(member: unknown, depth: number): Json {
    nodes += 1;
    if (nodes > limits.nodes) return cut;
    switch (typeof member) {
      case "string":
        return cleanText(member, limits.text);
      case "number":
        return Number.isFinite(member) ? member : String(member);
      case "boolean":
        return member;
      case "bigint":
        return String(member);
      case "function":
        return { type: member.name };
      case "undefined":
      case "symbol":
        return null;
      case "object":
        return member === null ? null : object(member, depth);
    }
  }

  function object(member: object, depth: number): Json {
    if (depth >= limits.depth) return cut;
    if (open.has(member)) return "[circular]";
    open.add(member);
    try {
      return members(member, depth);
    } catch (error) {
      return `[unreadable: ${String(error).slice(0, 100)}]`;
    } finally {
      open.delete(member);
    }
  }

  function members(member: object, depth: number): Json {
    if (Array.isArray(member)) return list(member, depth);
    if (member instanceof Error) return errorJson(member, depth);
    if (ArrayBuffer.isView(member) || member instanceof ArrayBuffer) {
      return `[${member.byteLength} bytes]`;
    }
    if (member instanceof Map) return { map: list([...member], depth + 1) };
    if (member instanceof Set) return { set: list([...member], depth + 1) };
    const { toJSON } = member as { toJSON?: unknown };
    // Dates, and references to actors, which know how to name themselves.
    if (typeof toJSON === "function") return walk(toJSON.call(member), depth + 1);
    return fields(Object.entries(member), depth);
  }

  function list(items: readonly unknown[], depth: number): Json[] {
    const kept = items.slice(0, limits.entries).map((item) => walk(item, depth + 1));
    if (items.length > kept.length) kept.push(`${cut} ${items.length - kept.length} more`);
    return kept;
  }

  function fields(entries: readonly (readonly [string, unknown])[], depth: number): Json {
    const result: Record<string, Json> = {};
    for (const [name, field] of entries.slice(0, limits.entries)) {
      if (field === undefined || typeof field === "symbol") continue;
      const isFlag = field === null || typeof field === "boolean";
      // An own `__proto__` must not become the prototype of the copy.
      const safeName = name === "__proto__" ? "[__proto__]" : name;
      result[safeName] = !isFlag && isSecretName(name) ? redacted : walk(field, depth + 1);
    }
    if (entries.length > limits.entries) result[cut] = entries.length - limits.entries;
    return result;
  }

  function errorJson(error: Error, depth: number): Json {
    const { code, cause } = error as { code?: unknown; cause?: unknown };
    return fields(
      [
        ["name", error.name],
        ["message", error.message],
        ["code", code],
        ["cause", cause],
      ],
      depth,
    );
  }

  return walk(value, 0);
}
