import { describe, expect, test } from "vitest";
import { openFaultDatabase } from "../../../support/fault-run.ts";
import { soon } from "../../../support/soon.ts";
import { openTestHost } from "../../../support/workflow-host.ts";
import { look, start } from "./semantics.ts";

/** 2,000 attempts through the queue, on a machine that does much else. */
const wideLimitMs = 240_000;

describe("groups", () => {
  test(
    "2,000 items are merged in order, and a pipeline streams with results of each step",
    async () => {
      await using database = await openFaultDatabase();
      await using node = await openTestHost({
        url: database.url,
        agentLimit: 64,
        runAgent: async ({ input }) => ({
          type: "succeeded",
          output: (input as { n: number }).n * 2,
        }),
      });
      const workflow = {
        id: "wide",
        title: "wide",
        params: ["list"],
        maxParallel: 64,
        tasks: {
          all: { do: "WORKER.add", forEach: { $param: "list" }, with: { n: { $item: true } } },
          sum: {
            do: "WORKER.block",
            after: ["all"],
            with: { n: { $output: "all", path: "1999" } },
          },
        },
      };
      const list = Array.from({ length: 2_000 }, (_, n) => n);
      const run = look(database, await start(node, workflow, { list }));
      await soon(run.status, wideLimitMs).toBe("completed");
      expect((await run.task("sum"))?.output).toBe(7_996);
      const piped = {
        id: "piped",
        title: "piped",
        params: ["list"],
        maxParallel: 8,
        stages: {
          flow: {
            title: "flow",
            items: { $param: "list" },
            buffer: 3,
            tasks: {
              p: { do: "WORKER.add", with: { n: { $item: true } } },
              q: { do: "WORKER.add", after: ["p"], with: { n: { $output: "p" } } },
            },
          },
        },
        statechart: {
          initial: "flow",
          states: {
            flow: { invoke: { src: "flow", id: "flow", onDone: "completed", onError: "failed" } },
            completed: { type: "final" },
            failed: { type: "final" },
          },
        },
        output: { $output: "q" },
      };
      const pipe = look(database, await start(node, piped, { list: list.slice(0, 10) }));
      await pipe.ended("completed");
      expect((await pipe.run())?.output).toEqual(list.slice(0, 10).map((n) => n * 4));
    },
    2 * wideLimitMs,
  );
});
