/**
 * DEPLOYER.compare_manifests: what a roll-out would change.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../../../machines/error-code.ts";
import { capability } from "../../define-agent.ts";
import { jsonSchema } from "../json-schema.ts";

const changeSchema = z.object({
  /** JSON pointer. */
  pointer: z.string(),
  before: jsonSchema.optional(),
  after: jsonSchema.optional(),
});

export const compareManifests = capability({
  description: "Lists what differs between two manifests, and whether pods must be replaced for it",
  input: z.object({ before: jsonSchema, after: jsonSchema }),
  output: z.object({ changes: z.array(changeSchema), replacesPods: z.boolean() }),
  connections: 0,
  async run(_ctx, { before, after }) {
    const changes = [...differences("", before, after)];
    const replacesPods = changes.some(({ pointer }) => pointer.includes("/spec/template"));
    return { changes, replacesPods };
  },
});

type Change = { pointer: string; before?: Json; after?: Json };

function* differences(pointer: string, before?: Json, after?: Json): Generator<Change> {
  if (isNode(before) && isNode(after)) {
    const left = before as Readonly<Record<string, Json>>;
    const right = after as Readonly<Record<string, Json>>;
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      yield* differences(
        `${pointer}/${key.replace(/~/g, "~0").replace(/\//g, "~1")}`,
        left[key],
        right[key],
      );
    }
  } else if (before !== after) {
    yield {
      pointer,
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    };
  }
}

/** Arrays too: their indexes are the keys. */
function isNode(value: Json | undefined): value is object & Json {
  return typeof value === "object" && value !== null;
}
