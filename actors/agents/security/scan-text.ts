/**
 * SECURITY.scan_text: counts secrets and personal data in a text.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import { countSensitive, severeKinds } from "./sensitive-data.ts";

export const sensitiveCountsSchema = z.object({
  emailAddress: z.number(),
  phoneNumber: z.number(),
  creditCard: z.number(),
  privateKey: z.number(),
  accessToken: z.number(),
  ipAddress: z.number(),
});

export const scanText = capability({
  description: "Counts addresses, numbers, cards, keys and tokens in a text, never showing them",
  input: z.object({ text: z.string().max(60_000) }),
  output: z.object({ counts: sensitiveCountsSchema, severe: z.number() }),
  connections: 0,
  async run(_ctx, { text }) {
    const counts = countSensitive(text);
    return { counts, severe: severeKinds.reduce((sum, kind) => sum + counts[kind], 0) };
  },
});
