/**
 * Phase 1, "Foundation Enhancement": four weeks as states, each week a DAG of tasks.
 *
 * @module
 */

import { defineStatechart } from "../../define-workflow.ts";
import { week1 } from "./week1.ts";
import { week2 } from "./week2.ts";
import { week3 } from "./week3.ts";
import { week4 } from "./week4.ts";

/** `archive`: URL of the source, as `openSource` takes it. */
export const phase1 = defineStatechart({
  id: "phase1",
  title: "Foundation Enhancement",
  params: ["archive"],
  stages: { week1, week2, week3, week4 },
});
