/**
 * Values of a machine's context as JSON and back, without silent loss: errors, dates, maps, sets and
 * big integers are written out; what cannot come back is refused with its place.
 *
 * @module
 */

import {
  AgentError,
  type ErrorRecord,
  type Json,
  toErrorRecord,
} from "../../../machines/error-code.ts";
import { reviveError } from "../call/wire-error.ts";
import { isActorRef } from "./xstate-adapter.ts";

/** Deeper values are refused; also what ends a circular one. */
const maxDepth = 128;
/** Marks a value that JSON does not have: `{ "$spectra": "date", "value": … }`. */
const mark = "$spectra";

/** @throws {AgentError} `NOT_STORABLE`, naming the place of what cannot be kept. */
export function encodeValue(value: unknown, path = "", depth = 0): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") {
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { [mark]: "number", value: Object.is(value, -0) ? "-0" : String(value) };
  }
  if (typeof value === "bigint") return { [mark]: "bigint", value: String(value) };
  if (value === undefined) return { [mark]: "undefined" };
  if (typeof value !== "object") throw notStorable(path, `a ${typeof value}`);
  if (depth >= maxDepth) throw notStorable(path, `a value more than ${maxDepth} deep`);
  return encodeObject(value, path, depth + 1);
}

function encodeObject(value: object, path: string, depth: number): Json {
  if (Array.isArray(value))
    return value.map((item, at) => encodeValue(item, `${path}/${at}`, depth));
  if (value instanceof Error) {
    return { [mark]: "error", value: toErrorRecord(value) as unknown as Json };
  }
  if (value instanceof Date) return { [mark]: "date", value: value.getTime() };
  if (value instanceof Set) {
    const items = [...value].map((item, at) => encodeValue(item, `${path}/${at}`, depth));
    return { [mark]: "set", value: items };
  }
  if (value instanceof Map) {
    const entries = [...value].map(([key, item], at) => [
      encodeValue(key, `${path}/${at}/key`, depth),
      encodeValue(item, `${path}/${at}`, depth),
    ]);
    return { [mark]: "map", value: entries };
  }
  if (isActorRef(value)) {
    throw notStorable(path, "a reference to an actor inside a Map, a Set or a class: keep its id");
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw notStorable(path, `a ${value.constructor.name}`);
  }
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .map(([key, item]) => [key, encodeValue(item, `${path}/${key}`, depth)] as const);
  const object = Object.fromEntries(entries);
  // A value of the user that looks like one of our marks.
  return mark in value ? { [mark]: "object", value: object } : object;
}

export function decodeValue(json: Json): unknown {
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return json.map(decodeValue);
  const object = json as { readonly [key: string]: Json };
  if (object[mark] === undefined) return decodeFields(object);
  const kind = JSON.stringify(object[mark]);
  const value = object["value"] ?? null;
  switch (kind) {
    case '"number"':
      return Number(value);
    case '"bigint"':
      return BigInt(value as string);
    case '"undefined"':
      return undefined;
    case '"error"':
      return reviveError(value as unknown as ErrorRecord);
    case '"date"':
      return new Date(Number(value ?? Number.NaN));
    case '"set"':
      return new Set((value as readonly Json[]).map(decodeValue));
    case '"map"':
      return new Map(
        (value as readonly (readonly [Json, Json])[]).map(([key, item]) => [
          decodeValue(key),
          decodeValue(item),
        ]),
      );
    case '"object"':
      return decodeFields(value as { readonly [key: string]: Json });
    default:
      throw new AgentError("NOT_STORABLE", `Cannot read a stored value of kind ${kind}`);
  }
}

function decodeFields(object: { readonly [key: string]: Json }): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, item]) => [key, decodeValue(item)]));
}

function notStorable(path: string, found: string): AgentError {
  const place = path === "" ? "the value itself" : path;
  return new AgentError("NOT_STORABLE", `Cannot keep ${found} at ${place}`);
}
