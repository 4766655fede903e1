/**
 * MLOPS.validate_model_metadata: says whether a model's metadata are complete and fit its file.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { z } from "zod";
import { capability } from "../../define-agent.ts";

const metadataSchema = z.object({
  name: z.string().regex(/^[a-z][a-z0-9-]*$/, "lower case letters, digits and hyphens"),
  version: z.string().regex(/^\d+\.\d+\.\d+$/, "three numbers, as in 1.4.0"),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "64 hex digits"),
  trainedAt: z.iso.datetime(),
  trainingRows: z.number().int().positive(),
  classes: z.array(z.string().min(1)).min(2),
  metrics: z.record(z.string(), z.number().min(0).max(1)),
});

export const validateModelMetadata = capability({
  description:
    "Checks a model's metadata: fields, ranges, accuracy asked for, and hash of its file",
  input: z.object({
    metadata: z.record(z.string(), z.json()),
    minAccuracy: z.number().min(0).max(1).default(0.85),
    /** The model's file, as base64. */
    artifact: z.base64().max(60_000).optional(),
  }),
  output: z.object({
    valid: z.boolean(),
    problems: z.array(z.object({ pointer: z.string(), detail: z.string() })),
  }),
  connections: 0,
  async run(_ctx, { metadata, minAccuracy, artifact }) {
    const parsed = metadataSchema.safeParse(metadata);
    const problems = (parsed.error?.issues ?? []).map((issue) => ({
      pointer: `/${issue.path.join("/")}`,
      detail: issue.message,
    }));
    const accuracy = parsed.data?.metrics["accuracy"];
    if (parsed.success && (accuracy ?? 0) < minAccuracy) {
      const detail = `is ${accuracy ?? "not given"}, at least ${minAccuracy} is asked for`;
      problems.push({ pointer: "/metrics/accuracy", detail });
    }
    if (parsed.success && artifact !== undefined) {
      const sha256 = createHash("sha256").update(Buffer.from(artifact, "base64")).digest("hex");
      if (sha256 !== parsed.data.sha256) {
        problems.push({ pointer: "/sha256", detail: `the file's hash is ${sha256}` });
      }
    }
    return { valid: problems.length === 0, problems };
  },
});
