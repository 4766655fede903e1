/**
 * Schemas of actions as JSON Schema: what callers are told, and what a workflow's input is checked against.
 *
 * @module
 */

import { z } from "zod";
import type { Capability, CapabilityCard } from "../actors/define-agent.ts";
import type { Json } from "../machines/error-code.ts";

/** Null where nothing is known of it. */
export function actionSchema(action: CapabilityCard | Capability, io: "input" | "output"): Json {
  if ("run" in action) return jsonSchemaOf(io === "input" ? action.input : action.output, io);
  return (io === "input" ? action.inputSchema : action.outputSchema) ?? null;
}

/** What cannot be written as JSON Schema allows anything; so does what is converted before it is checked. */
export function jsonSchemaOf(schema: z.ZodType, io: "input" | "output"): Json {
  return z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      if (io !== "input" || !convertsFirst(zodSchema)) return;
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
    },
  }) as unknown as Json;
}

/** `z.coerce.number()` takes `"5"`, and `z.preprocess` whatever its function takes. */
function convertsFirst(schema: z.core.$ZodTypes): boolean {
  const { def } = schema._zod;
  if ("coerce" in def && def.coerce === true) return true;
  return def.type === "pipe" && def.in._zod.def.type === "transform";
}
