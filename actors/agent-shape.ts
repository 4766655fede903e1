/**
 * The shape of an agent's definition, checked where it is written: agents may come from JavaScript,
 * or from TypeScript that nobody has checked.
 *
 * @module
 */

import { z } from "zod";
import { permissionNames } from "../machines/permissions.ts";

/** Problems that one message tells; the rest is counted. */
const shownProblems = 3;

/** Another copy of zod is as good as ours, as long as it is version 4. */
const schema = z.custom(
  (value) => typeof value === "object" && value !== null && "_zod" in value,
  "must be a schema of zod 4, such as z.object({})",
);
const code = z.custom((value) => typeof value === "function", "must be a function");
const grant = z.union([z.boolean(), z.literal("inherit"), z.array(z.string())], {
  error: 'must be true, false, "inherit" or a list of strings',
});
const text = z.string().max(1_000);

const capabilityShape = z.strictObject({
  description: text,
  input: schema,
  output: schema,
  connections: z.int().min(0).max(4),
  progressTimeoutMs: z.int().min(100).optional(),
  run: code,
  compensate: code.optional(),
});

const agentShape = z.strictObject({
  name: z
    .string()
    .max(60)
    .regex(/^[A-Z][A-Z0-9-]*$/, "must be upper case letters, digits and hyphens"),
  category: text.optional(),
  description: text.optional(),
  skills: z.array(text).optional(),
  concurrency: z.int().min(1).max(100).optional(),
  resources: z
    .strictObject({
      cpu: z.number().positive().max(1_024),
      memoryMb: z.int().min(1).max(1_048_576),
    })
    .optional(),
  permissions: z.partialRecord(z.enum(permissionNames), grant).optional(),
  isolation: z.enum(["thread", "process", "deno"]).optional(),
  limits: z
    .strictObject({
      unresponsiveMs: z.int().min(500).max(600_000).optional(),
      bufferMb: z.int().min(16).max(1_048_576).optional(),
      graceMs: z.int().min(0).max(600_000).optional(),
    })
    .optional(),
  dependsOn: z.array(text).optional(),
  capabilities: z.record(
    z
      .string()
      .max(60)
      .regex(/^[a-z][a-z0-9_]*$/, "must be lower case letters, digits and underscores"),
    capabilityShape,
  ),
});

/** One sentence for each malformed or unknown field, such as `concurrency: Too small…`; empty when all is well. */
export function agentProblems(value: unknown): readonly string[] {
  const parsed = agentShape.safeParse(value);
  if (parsed.success) return [];
  const all = parsed.error.issues.map(sentenceOf);
  const more = all.length - shownProblems;
  return more > 0 ? [...all.slice(0, shownProblems), `and ${more} more`] : all;
}

function sentenceOf(issue: z.core.$ZodIssue): string {
  const place = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return `${[...place, issue.keys.join(", ")].join(".")} is unknown here`;
  }
  const why =
    issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  return `${place.length === 0 ? "the definition" : place.join(".")}: ${why}`;
}
