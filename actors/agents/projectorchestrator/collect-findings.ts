/**
 * PROJECTORCHESTRATOR.collect_findings: puts the reports of several workers together.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import { tableFactsSchema } from "../debugger/inspect-tables.ts";

const report = z.object({ tables: z.array(tableFactsSchema) });

export const collectFindings = capability({
  description: "Adds up what the workers found and names the largest tables",
  input: z.object({
    /** By worker, or in their order. */
    reports: z.union([z.array(report), z.record(z.string(), report)]),
  }),
  output: z.object({
    workers: z.number(),
    tables: z.number(),
    rows: z.number(),
    sizeBytes: z.number(),
    largest: z.array(z.object({ name: z.string(), sizeBytes: z.number() })),
  }),
  connections: 0,
  async run(_ctx, { reports }) {
    const tables = Object.values(reports).flatMap((report) => report.tables);
    const bySize = tables.toSorted((a, b) => b.sizeBytes - a.sizeBytes);
    return {
      workers: Object.keys(reports).length,
      tables: tables.length,
      rows: tables.reduce((sum, table) => sum + table.rows, 0),
      sizeBytes: tables.reduce((sum, table) => sum + table.sizeBytes, 0),
      largest: bySize.slice(0, 3).map(({ name, sizeBytes }) => ({ name, sizeBytes })),
    };
  },
});
