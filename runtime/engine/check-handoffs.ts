/**
 * Checks what one task hands to the next against the schemas of both actions. What a schema does not say
 * for certain is let through: the action itself parses its input.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import { asRef, type InputRef } from "../../machines/run/values.ts";
import { actionSchema } from "../action-schema.ts";
import { type FindAgent, findAction } from "./check-tasks.ts";
import { type Field, pointerStep } from "./check-values.ts";
import type { PlacedTask, TaskGraph } from "./task-graph.ts";

type Schema = { readonly [key: string]: Json };

/** Schemas of actions, each made once. */
type Schemas = (action: string, io: "input" | "output") => Schema | undefined;

interface Check {
  readonly graph: TaskGraph;
  readonly schemas: Schemas;
  readonly placed: PlacedTask;
  readonly fields: Field[];
}

/** Inputs that are missing, unknown or of a type that the action would refuse, and lists that are none. */
export function checkHandoffs(
  graph: TaskGraph,
  input: Readonly<Record<string, Json>>,
  findAgent: FindAgent,
): Field[] {
  const schemas = schemasOf(findAgent);
  const fields: Field[] = [];
  for (const placed of graph.all) {
    const check = { graph, schemas, placed, fields };
    const { task, pointer } = placed;
    if (task.do !== undefined) checkWith(check, task.do);
    if (task.forEach !== undefined) {
      checkList(check, task.forEach, `${pointer}/forEach`, task.forEach, input);
    }
  }
  const first = new Map(graph.all.map((placed) => [placed.stage, placed]));
  for (const [name, { items }] of Object.entries(graph.definition.stages)) {
    const placed = first.get(name);
    if (items === undefined || placed === undefined) continue;
    const check = { graph, schemas, placed, fields };
    checkList(check, items, `/workflow/stages/${name}/items`, items, input);
  }
  return fields;
}

function schemasOf(findAgent: FindAgent): Schemas {
  const known = new Map<string, Schema | undefined>();
  return (action, io) => {
    const key = `${io} ${action}`;
    if (!known.has(key)) {
      const { found } = findAction(action, findAgent);
      const schema = found === undefined ? null : actionSchema(found, io);
      known.set(key, isSchema(schema) ? schema : undefined);
    }
    return known.get(key);
  };
}

function checkWith(check: Check, action: string): void {
  const schema = check.schemas(action, "input");
  if (schema === undefined) return;
  const { task, pointer } = check.placed;
  checkValue(check, task.with ?? {}, schema, `${pointer}/with`, action);
}

/** Compares a template with the schema of what should stand there. */
function checkValue(
  check: Check,
  value: unknown,
  schema: Schema,
  pointer: string,
  action: string,
): void {
  const add = (at: string, detail: string) => void check.fields.push({ pointer: at, detail });
  const ref = asRef(value);
  if (ref !== undefined) {
    const given = schemaOfRef(check, ref);
    if (given === "missing") add(pointer, `does not exist: ${textOf(ref)}`);
    else if (given !== undefined) {
      const problem = misfit(given, schema);
      if (problem !== undefined) add(pointer, `${problem}: ${textOf(ref)} (for ${action})`);
    }
    return;
  }
  if (typeof value !== "object" || value === null) {
    const wanted = typesOf(schema);
    const type = jsonType(value);
    if (wanted !== undefined && !overlaps(new Set([type]), wanted)) {
      add(pointer, `expected ${[...wanted].join(" or ")}, received ${type} (for ${action})`);
    }
    return;
  }
  const wanted = typesOf(schema);
  const type = jsonType(value);
  if (wanted !== undefined && !wanted.has(type)) {
    return add(pointer, `expected ${[...wanted].join(" or ")}, received ${type} (for ${action})`);
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    if (!isSchema(items)) return;
    for (const [index, one] of value.entries())
      checkValue(check, one, items, `${pointer}/${index}`, action);
    return;
  }
  checkObject(check, value as Readonly<Record<string, unknown>>, schema, pointer, action);
}

function checkObject(
  check: Check,
  value: Readonly<Record<string, unknown>>,
  schema: Schema,
  pointer: string,
  action: string,
): void {
  const { additionalProperties, properties, required } = schema;
  if (!isSchema(properties)) return;
  for (const key of Array.isArray(required) ? required : []) {
    if (typeof key !== "string" || Object.hasOwn(value, key)) continue;
    const at = `${pointer}/${pointerStep(key)}`;
    check.fields.push({ pointer: at, detail: `is required by ${action}` });
  }
  for (const [key, one] of Object.entries(value)) {
    const at = `${pointer}/${pointerStep(key)}`;
    const part = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    if (isSchema(part)) checkValue(check, one, part, at, action);
    // An action that says nothing of other inputs would drop them without a word.
    else if (!Object.hasOwn(properties, key) && part !== true) {
      const known = Object.keys(properties).join(", ") || "none";
      const detail = `is no input of ${action}; inputs are ${known}`;
      check.fields.push({ pointer: at, detail });
    }
  }
}

function checkList(
  check: Check,
  list: unknown,
  pointer: string,
  template: unknown,
  input: Readonly<Record<string, Json>>,
): void {
  const ref = asRef(template);
  const add = (at: string, detail: string) => void check.fields.push({ pointer: at, detail });
  if (ref === undefined) {
    if (!Array.isArray(list)) add(pointer, "is no list, and no reference to one");
    return;
  }
  if (ref.kind === "param") {
    const value = Object.hasOwn(input, ref.name) ? input[ref.name] : undefined;
    if (value === undefined || ref.path !== undefined || Array.isArray(value)) return;
    return add(`/input/${ref.name}`, `must be a list: ${pointer} goes over it`);
  }
  const given = schemaOfRef(check, ref);
  if (given === "missing") return add(pointer, `does not exist: ${textOf(ref)}`);
  const types = given === undefined ? undefined : typesOf(given);
  if (types !== undefined && !types.has("array")) add(pointer, `is no list: ${textOf(ref)}`);
}

/** What is known of a reference's value; "missing" when no value can be there. */
function schemaOfRef(check: Check, ref: InputRef): Schema | "missing" | undefined {
  const whole = wholeOf(check, ref);
  if (whole === undefined) return undefined;
  let schema: Schema | undefined = whole;
  for (const step of ref.path?.split(".") ?? []) {
    const next: Schema | "missing" | undefined = stepInto(schema, step);
    if (next === undefined || next === "missing") return next;
    schema = next;
  }
  return schema;
}

function wholeOf(check: Check, ref: InputRef): Schema | undefined {
  if (ref.kind === "index") return { type: "integer" };
  if (ref.kind === "item") {
    const { isPiped, stage, task } = check.placed;
    const list = isPiped ? check.graph.definition.stages[stage]?.items : task.forEach;
    const listRef = asRef(list);
    if (listRef === undefined || listRef.kind === "item") return undefined;
    const given = schemaOfRef(check, listRef);
    const items = given === undefined || given === "missing" ? undefined : given["items"];
    return isSchema(items) ? items : undefined;
  }
  if (ref.kind !== "output") return undefined;
  const other = check.graph.byKey.get(ref.name);
  if (other?.task.do === undefined) return undefined;
  const schema = check.schemas(other.task.do, "output");
  const inGroup = other.isPiped || other.task.forEach !== undefined;
  const same = other.isPiped && other.stage === check.placed.stage;
  if (schema === undefined || !inGroup || same) return schema;
  return { type: "array", items: schema };
}

function stepInto(schema: Schema, step: string): Schema | "missing" | undefined {
  const { additionalProperties, items, properties } = schema;
  const types = typesOf(schema);
  if (types === undefined || types.size !== 1) return undefined;
  if (types.has("array")) {
    if (!/^\d+$/.test(step)) return "missing";
    return isSchema(items) ? items : undefined;
  }
  if (!types.has("object")) return "missing";
  if (isSchema(properties) && Object.hasOwn(properties, step)) {
    const part = properties[step];
    return isSchema(part) ? part : undefined;
  }
  if (isSchema(additionalProperties)) return additionalProperties;
  return isSchema(properties) && additionalProperties === false ? "missing" : undefined;
}

/** Why no value of the one could be taken as the other; undefined when some could. */
function misfit(given: Schema, wanted: Schema): string | undefined {
  const [from, to] = [typesOf(given), typesOf(wanted)];
  if (from === undefined || to === undefined) return undefined;
  if (!overlaps(from, to)) {
    return `expected ${[...to].join(" or ")}, received ${[...from].join(" or ")}`;
  }
  if (from.has("array") && isSchema(given["items"]) && isSchema(wanted["items"])) {
    return within("items", misfit(given["items"], wanted["items"]));
  }
  const { properties: has, additionalProperties } = given;
  const { properties: wants, required } = wanted;
  if (!from.has("object") || from.size > 1 || !isSchema(has) || !isSchema(wants)) return undefined;
  for (const [key, part] of Object.entries(wants)) {
    const own = Object.hasOwn(has, key) ? has[key] : undefined;
    const isRequired = Array.isArray(required) && required.includes(key);
    if (own === undefined && isRequired && additionalProperties === false) {
      return `lacks "${key}"`;
    }
    const problem = isSchema(own) && isSchema(part) ? misfit(own, part) : undefined;
    if (problem !== undefined) return within(key, problem);
  }
  return undefined;
}

function within(key: string, problem: string | undefined): string | undefined {
  return problem === undefined ? undefined : `${problem} at "${key}"`;
}

/** JSON types that a schema allows; undefined when it does not say for certain. */
function typesOf(schema: Schema): ReadonlySet<string> | undefined {
  const { anyOf, const: only, enum: values, oneOf, type } = schema;
  if (typeof type === "string") return new Set([type]);
  if (Array.isArray(type)) return new Set(type.map(String));
  if (only !== undefined) return new Set([jsonType(only)]);
  if (Array.isArray(values)) return new Set(values.map(jsonType));
  const union = anyOf ?? oneOf;
  if (!Array.isArray(union)) return undefined;
  const parts = union.map((one) => (isSchema(one) ? typesOf(one) : undefined));
  const known = parts.filter((one) => one !== undefined);
  return known.length === parts.length ? new Set(known.flatMap((one) => [...one])) : undefined;
}

function overlaps(from: ReadonlySet<string>, to: ReadonlySet<string>): boolean {
  const isNumber = (types: ReadonlySet<string>) => types.has("number") || types.has("integer");
  return [...from].some((type) => to.has(type)) || (isNumber(from) && isNumber(to));
}

function jsonType(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf({ kind, name, path }: InputRef): string {
  const what = kind === "output" ? `the output of "${name}"` : `the ${kind}`;
  return path === undefined ? what : `${what} at "${path}"`;
}
