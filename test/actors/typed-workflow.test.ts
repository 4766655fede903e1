/** @module Tests that the compiler finds what is wrong in a workflow: tsc checks every `@ts-expect-error`. */

import { describe, expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { capability, defineAgent } from "../../actors/define-agent.ts";
import {
  defineStatechart,
  defineWorkflow,
  item,
  output,
  param,
  type WorkflowDefinition,
} from "../../actors/define-workflow.ts";
import { index } from "../../actors/workflow-values.ts";

const SCANNER = defineAgent({
  name: "SCANNER",
  capabilities: {
    list: capability({
      input: z.object({ dir: z.string(), depth: z.number().optional() }),
      output: z.object({ files: z.array(z.string()), count: z.number() }),
      run: async (_ctx, { dir }) => ({ files: [dir], count: 1 }),
    }),
  },
});
const THUMBNAILER = defineAgent({
  name: "THUMBNAILER",
  capabilities: {
    render: capability({
      input: z.object({ file: z.string(), size: z.number().default(64) }),
      output: z.object({ bytes: z.number() }),
      run: async () => ({ bytes: 1 }),
    }),
    sheet: capability({
      input: z.object({ thumbs: z.array(z.object({ bytes: z.number() })) }),
      output: z.object({ pages: z.number() }),
      run: async () => ({ pages: 1 }),
    }),
  },
});
const agents = { SCANNER, THUMBNAILER };
const album = { id: "album", agents, params: ["dir"] } as const;

describe("a workflow with its agents", () => {
  test("is accepted when every name, path and type is right", () => {
    const workflow = defineWorkflow({
      ...album,
      tasks: {
        scan: { do: "SCANNER.list", with: { dir: param("dir") } },
        render: {
          do: "THUMBNAILER.render",
          after: ["scan"],
          forEach: output("scan", "files"),
          with: { file: item(), size: index() },
          retry: { attempts: 5, backoff: "exponential" },
          onFailure: "rollback",
        },
        sheet: {
          do: "THUMBNAILER.sheet",
          after: ["render"],
          with: { thumbs: output("render") },
        },
      },
    });
    expectTypeOf(workflow).toEqualTypeOf<WorkflowDefinition>();
    expect(workflow).not.toHaveProperty("agents");
    expect(workflow.params).toEqual(["dir"]);
  });

  test("names the wrong action", () => {
    // @ts-expect-error: SCANNER has no action "lst"
    defineWorkflow({ ...album, tasks: { scan: { do: "SCANNER.lst", with: { dir: "a" } } } });
    defineWorkflow({
      ...album,
      tasks: {
        // @ts-expect-error: there is no such agent
        scan: { do: "NOBODY.list", with: { dir: "a" } },
      },
    });
  });

  test("finds inputs that are missing, misspelt or of another type", () => {
    // @ts-expect-error: dir is missing
    defineWorkflow({ ...album, tasks: { scan: { do: "SCANNER.list" } } });
    // @ts-expect-error: dir is missing
    defineWorkflow({ ...album, tasks: { scan: { do: "SCANNER.list", with: { depth: 1 } } } });
    defineWorkflow({
      ...album,
      // @ts-expect-error: dirr is no input
      tasks: { scan: { do: "SCANNER.list", with: { dir: "a", dirr: "a" } } },
    });
    // @ts-expect-error: dir is a text
    defineWorkflow({ ...album, tasks: { scan: { do: "SCANNER.list", with: { dir: 7 } } } });
    defineWorkflow({
      ...album,
      // @ts-expect-error: the workflow has no input "dirr"
      tasks: { scan: { do: "SCANNER.list", with: { dir: param("dirr") } } },
    });
  });

  test("finds wrong paths, handoffs and lists", () => {
    const scan = { do: "SCANNER.list", with: { dir: "a" } } as const;
    defineWorkflow({
      ...album,
      tasks: {
        scan,
        render: {
          do: "THUMBNAILER.render",
          // @ts-expect-error: the output of scan has no "filez"
          with: { file: output("scan", "filez.0") },
        },
      },
    });
    defineWorkflow({
      ...album,
      tasks: {
        scan,
        // @ts-expect-error: a number is no text
        render: { do: "THUMBNAILER.render", with: { file: output("scan", "count") } },
      },
    });
    defineWorkflow({
      ...album,
      tasks: {
        scan,
        render: {
          do: "THUMBNAILER.render",
          // @ts-expect-error: a number is no list
          forEach: output("scan", "count"),
          with: { file: "a" },
        },
      },
    });
    defineWorkflow({
      ...album,
      tasks: {
        scan,
        // @ts-expect-error: there is no item without forEach
        render: { do: "THUMBNAILER.render", with: { file: item() } },
      },
    });
    defineWorkflow({
      ...album,
      tasks: {
        scan,
        // @ts-expect-error: there is no task "scam"
        render: { do: "THUMBNAILER.render", after: ["scam"], with: { file: "a" } },
      },
    });
    defineWorkflow({
      ...album,
      tasks: {
        scan,
        // @ts-expect-error: there is no task "scam"
        render: { do: "THUMBNAILER.render", with: { file: output("scam", "files.0") } },
      },
    });
  });

  test("knows the item of a pipeline, and what the tasks before made of it", () => {
    const pipeline = {
      ...album,
      mode: "pipeline",
      items: [{ dir: "a" }, { dir: "b" }],
    } as const;
    const workflow = defineWorkflow({
      ...pipeline,
      tasks: {
        scan: { do: "SCANNER.list", with: { dir: item("dir") } },
        render: { do: "THUMBNAILER.render", with: { file: output("scan", "files.0") } },
      },
    });
    expect(workflow.stages["main"]?.items).toEqual([{ dir: "a" }, { dir: "b" }]);
    defineWorkflow({
      ...pipeline,
      // @ts-expect-error: the item has no "folder"
      tasks: { scan: { do: "SCANNER.list", with: { dir: item("folder") } } },
    });
  });

  test("looks across stages", () => {
    const stages = {
      scan: { tasks: { scan: { do: "SCANNER.list", with: { dir: param("dir") } } } },
      render: {
        tasks: {
          render: { do: "THUMBNAILER.render", with: { file: output("scan", "files.0") } },
        },
      },
    } as const;
    expect(Object.keys(defineWorkflow({ ...album, stages }).stages)).toEqual(["scan", "render"]);
    expect(Object.keys(defineStatechart({ ...album, stages }).stages)).toEqual(["scan", "render"]);
    defineWorkflow({
      ...album,
      stages: {
        scan: stages.scan,
        render: {
          tasks: {
            // @ts-expect-error: the output of scan has no "filez"
            render: { do: "THUMBNAILER.render", with: { file: output("scan", "filez") } },
          },
        },
      },
    });
  });

  test("without agents nothing is checked but the shape", () => {
    const workflow = defineWorkflow({
      id: "free",
      tasks: { a: { do: "ANY.thing", with: { x: 1 } } },
    });
    expect(workflow.title).toBe("free");
    // @ts-expect-error: no task has this option
    defineWorkflow({ id: "free", tasks: { a: { do: "ANY.thing", retries: 3 } } });
  });
});
