/**
 * PATCHER.apply_patch: applies a unified diff to a text, all of it or nothing.
 *
 * @module
 */

import { z } from "zod";
import { AgentError } from "../../../machines/error-code.ts";
import { capability } from "../../define-agent.ts";

export const applyPatch = capability({
  description: "Applies a unified diff to a text; every context line must match exactly",
  input: z.object({ text: z.string().max(60_000), patch: z.string().max(60_000) }),
  output: z.object({
    text: z.string(),
    hunks: z.number(),
    added: z.number(),
    removed: z.number(),
  }),
  connections: 0,
  run: async (_ctx, { text, patch }) => patchText(text, patch),
});

interface Hunk {
  /** Line where the old side starts, from 1; 0 for an empty old side. */
  readonly start: number;
  readonly oldCount: number;
  readonly newCount: number;
  readonly lines: readonly string[];
}

/** @throws {AgentError} `PATCH_MALFORMED`, or `PATCH_CONFLICT` when the text is not what the patch expects. */
export function patchText(text: string, patch: string) {
  const source = text.split("\n");
  const result: string[] = [];
  const hunks = parseHunks(patch);
  let next = 0;
  for (const hunk of hunks) {
    const start = hunk.oldCount === 0 ? hunk.start : hunk.start - 1;
    if (start < next || start > source.length) throw conflict(hunk.start, "a hunk starts there");
    result.push(...source.slice(next, start));
    next = start;
    for (const line of hunk.lines) {
      const content = line.slice(1);
      if (line.startsWith("+")) result.push(content);
      else {
        if (source[next] !== content)
          throw conflict(next + 1, `expected ${JSON.stringify(content)}`);
        if (line.startsWith(" ")) result.push(content);
        next += 1;
      }
    }
  }
  const lines = hunks.flatMap((hunk) => hunk.lines);
  return {
    text: [...result, ...source.slice(next)].join("\n"),
    hunks: hunks.length,
    added: lines.filter((line) => line.startsWith("+")).length,
    removed: lines.filter((line) => line.startsWith("-")).length,
  };
}

function parseHunks(patch: string): readonly Hunk[] {
  // Each part but the first starts right after the "@@ " of a hunk's head.
  const [, ...parts] = patch.split(/^@@ /m);
  if (parts.length === 0) throw malformed("it has no hunk");
  return parts.map((part) => {
    const [head = "", ...rest] = part.split("\n");
    const match = /^-(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(head);
    if (match === null) throw malformed(`"@@ ${head}" is no head of a hunk`);
    const lines = rest.filter((line) => /^[ +-]/.test(line));
    const hunk = {
      start: Number(match[1]),
      oldCount: Number(match[2] ?? 1),
      newCount: Number(match[3] ?? 1),
      lines,
    };
    const removed = lines.filter((line) => !line.startsWith("+")).length;
    const added = lines.filter((line) => !line.startsWith("-")).length;
    if (removed !== hunk.oldCount || added !== hunk.newCount) {
      throw malformed(`the hunk "@@ ${head}" holds ${removed} old and ${added} new lines`);
    }
    return hunk;
  });
}

function malformed(detail: string): AgentError {
  return new AgentError("PATCH_MALFORMED", `Cannot apply the patch: ${detail}`);
}

function conflict(line: number, detail: string): AgentError {
  return new AgentError("PATCH_CONFLICT", `Cannot apply the patch at line ${line}: ${detail}`);
}
