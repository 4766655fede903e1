/**
 * Any JSON value, as a schema: for inputs and outputs whose shape is not the agent's business.
 *
 * @module
 */

import { z } from "zod";
import type { Json } from "../../machines/error-code.ts";

/** Zod's own type has arrays that may be written to; ours are read-only. */
export const jsonSchema = z.json() as unknown as z.ZodType<Json, Json>;
