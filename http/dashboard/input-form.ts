/**
 * The form for a workflow's input, made of its JSON Schema. What a form cannot say is written as JSON.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";

export interface InputField {
  readonly name: string;
  /** `free` takes JSON, and whatever is none as text. */
  readonly kind: "text" | "number" | "boolean" | "choice" | "json" | "free";
  readonly isRequired: boolean;
  /** What the schema says of it: its description, else its type. */
  readonly hint: string;
  readonly choices: readonly string[];
}

type Schema = { readonly [key: string]: Json };

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function fieldsOf(inputSchema: Json): readonly InputField[] {
  const { properties, required } = isSchema(inputSchema) ? inputSchema : {};
  const needed = Array.isArray(required) ? (required as readonly Json[]) : [];
  return Object.entries(isSchema(properties) ? properties : {}).map(([name, schema]) =>
    fieldOf(name, isSchema(schema) ? schema : {}, needed.includes(name)),
  );
}

function fieldOf(name: string, whole: Schema, isRequired: boolean): InputField {
  // Several actions that take the same value: the first tells its type.
  const parts = Array.isArray(whole["allOf"]) ? (whole["allOf"] as readonly Json[]) : [whole];
  const schema = parts.find((part): part is Schema => isSchema(part) && "type" in part) ?? whole;
  const { type, enum: values, description } = schema;
  const choices = Array.isArray(values) && type === "string" ? values.map(String) : [];
  const hint = typeof description === "string" ? description : typeText(type);
  return { name, kind: kindOf(type, choices), isRequired, hint, choices };
}

function kindOf(type: Json | undefined, choices: readonly string[]): InputField["kind"] {
  if (choices.length > 0) return "choice";
  if (type === "string") return "text";
  if (type === "number" || type === "integer") return "number";
  if (type === "boolean") return "boolean";
  return type === "array" || type === "object" ? "json" : "free";
}

function typeText(type: Json | undefined): string {
  if (type === "array") return "a JSON list";
  if (type === "object") return "a JSON object";
  if (type === "integer") return "a whole number";
  return typeof type === "string" && type !== "string" ? `a ${type}` : "";
}

/**
 * The input of what was typed, by field; fields left empty are left out. Values that cannot be read are told
 * by name instead.
 */
export function inputOf(
  fields: readonly InputField[],
  typed: Readonly<Record<string, string>>,
): { readonly input: Record<string, Json>; readonly problems: Readonly<Record<string, string>> } {
  const input: Record<string, Json> = {};
  const problems: Record<string, string> = {};
  for (const field of fields) {
    const text = typed[field.name] ?? "";
    if (field.kind === "boolean") input[field.name] = text === "true";
    else if (text.trim() === "") continue;
    else if (field.kind === "text" || field.kind === "choice") input[field.name] = text;
    else {
      const value = parse(text);
      if (value !== undefined) input[field.name] = value;
      else if (field.kind === "free") input[field.name] = text;
      else problems[field.name] = field.kind === "number" ? "is not a number" : "is not JSON";
    }
  }
  return { input, problems };
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
