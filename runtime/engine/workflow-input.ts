/**
 * What a workflow's input must look like. A definition names its inputs only; their types are those of the
 * actions that its tasks hand them to.
 *
 * @module
 */

import { z } from "zod";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { Json } from "../../machines/error-code.ts";
import { asRef } from "../../machines/run/values.ts";
import { actionSchema } from "../action-schema.ts";
import type { FindAgent } from "./definition.ts";

type Schema = { readonly [key: string]: Json };

/** One place where a task hands an input to its action. */
interface InputUse {
  readonly param: string;
  /** `ALBUM.scan`. */
  readonly action: string;
  /** JSON Schema of the value there. */
  readonly schema: Schema;
}

interface Mistake {
  readonly pointer: string;
  readonly detail: string;
}

/**
 * JSON Schema of the whole input.
 * @param filledIn Inputs that may be left out, since the node knows them.
 */
export function inputSchemaOf(
  definition: WorkflowDefinition,
  findAgent: FindAgent,
  filledIn: readonly string[] = [],
): Json {
  const uses = usesOf(definition, findAgent);
  const properties = definition.params.map((name) => {
    const schemas = uses.filter(({ param }) => param === name).map(({ schema }) => schema);
    const distinct = [
      ...new Map(schemas.map((schema) => [JSON.stringify(schema), schema])).values(),
    ];
    return [name, distinct.length > 1 ? { allOf: distinct } : (distinct[0] ?? {})] as const;
  });
  return {
    type: "object",
    properties: Object.fromEntries(properties),
    required: definition.params.filter((name) => !filledIn.includes(name)),
    additionalProperties: false,
  };
}

/** Values that an action would refuse; at most one text per place. Missing inputs are told elsewhere. */
export function checkInputTypes(
  definition: WorkflowDefinition,
  input: Readonly<Record<string, Json>>,
  findAgent: FindAgent,
): Mistake[] {
  const mistakes = new Map<string, Mistake>();
  for (const { param, action, schema } of usesOf(definition, findAgent)) {
    const value = input[param];
    if (value === undefined || !Object.hasOwn(input, param)) continue;
    for (const { path, detail } of mistakesIn(value, schema)) {
      const pointer = ["/input", param, ...path.map(pointerStep)].join("/");
      if (!mistakes.has(pointer)) {
        mistakes.set(pointer, { pointer, detail: `${detail} (for ${action})` });
      }
    }
  }
  return [...mistakes.values()];
}

function pointerStep(step: PropertyKey): string {
  return String(step).replaceAll("~", "~0").replaceAll("/", "~1");
}

function usesOf(definition: WorkflowDefinition, findAgent: FindAgent): InputUse[] {
  const tasks = Object.values(definition.stages).flatMap((stage) => Object.values(stage.tasks));
  return tasks.flatMap(({ do: action, with: given }) => {
    if (action === undefined || given === undefined || !JSON.stringify(given).includes('"$param"'))
      return [];
    const [agent = "", name = ""] = action.split(".");
    const capabilities = findAgent(agent)?.capabilities ?? {};
    const capability = Object.hasOwn(capabilities, name) ? capabilities[name] : undefined;
    const whole = capability === undefined ? null : actionSchema(capability, "input");
    if (!isSchema(whole)) return [];
    return paramsIn(given, whole).map(({ param, schema }) => ({
      param,
      action,
      schema: withDefinitions(schema, whole),
    }));
  });
}

/** The references to inputs inside a task's `with`, each with the part of the schema that stands there. */
function paramsIn(value: unknown, schema: Schema): { param: string; schema: Schema }[] {
  const ref = asRef(value);
  if (ref !== undefined) return ref.kind === "param" ? [{ param: ref.name, schema }] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const part = partOf(schema, key, Array.isArray(value));
    return part === undefined ? [] : paramsIn(inner, part);
  });
}

/** Undefined where the schema says nothing definite, as inside a union. */
function partOf(schema: Schema, key: string, isList: boolean): Schema | undefined {
  const { properties, additionalProperties, items, prefixItems } = schema;
  if (isList) {
    const place = Array.isArray(prefixItems) ? (prefixItems as readonly Json[])[Number(key)] : null;
    return [place, items].find(isSchema);
  }
  const named = isSchema(properties) && Object.hasOwn(properties, key) ? properties[key] : null;
  return [named, additionalProperties].find(isSchema);
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A part that refers to definitions of the whole takes them along; one that refers to the whole says nothing. */
function withDefinitions(part: Schema, whole: Schema): Schema {
  if (part === whole) return part;
  const text = JSON.stringify(part);
  if (text.includes('"$ref":"#"')) return {};
  return text.includes('"$ref"') && isSchema(whole["$defs"])
    ? { ...part, $defs: whole["$defs"] }
    : part;
}

function mistakesIn(value: Json, schema: Schema): { path: PropertyKey[]; detail: string }[] {
  const parsed = typeOf(schema).safeParse(value);
  if (parsed.success) return [];
  return parsed.error.issues.map((issue) => ({ path: issue.path, detail: textOf(issue, schema) }));
}

function textOf(issue: z.core.$ZodIssue, { type, enum: values }: Schema): string {
  if (issue.code !== "invalid_union" || issue.path.length > 0) return issue.message;
  const choices = Array.isArray(values) ? values : Array.isArray(type) ? type : [];
  return choices.length === 0
    ? issue.message
    : `${issue.message}: expected ${choices.join(" or ")}`;
}

function typeOf(schema: Schema): z.ZodType {
  try {
    return z.fromJSONSchema(loose(schema) as z.core.JSONSchema.JSONSchema);
  } catch {
    // Words that zod cannot read back, such as those of a user's own `meta`: the task itself will check.
    return z.unknown();
  }
}

/**
 * JSON Schema forgets that a text is trimmed, or its case ignored, before it is looked at: what could
 * refuse a text that the action takes is left to the action.
 */
function loose(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(loose);
  if (!isSchema(schema)) return schema;
  const isText = schema["type"] === "string";
  const kept = Object.entries(schema).filter(
    ([key]) => !(isText && ["pattern", "format", "maxLength"].includes(key)),
  );
  return Object.fromEntries(
    kept.map(([key, inner]) => [key, key === "const" || key === "enum" ? inner : loose(inner)]),
  );
}
