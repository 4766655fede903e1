import { describe, expect, test } from "vitest";
import { defineWorkflow, output, param } from "../../../actors/define-workflow.ts";
import type { Json } from "../../../machines/error-code.ts";
import { checkInputTypes, inputSchemaOf } from "../../../runtime/engine/workflow-input.ts";
import { capability, defineAgent, z } from "../../../runtime/index.ts";

const nothing = { output: z.object({}), run: async () => ({}) };
const album = defineAgent({
  name: "ALBUM",
  capabilities: {
    scan: capability({
      ...nothing,
      input: z.object({
        dir: z.string().min(1).describe("Folder of images"),
        size: z.object({ width: z.int().min(16), ratio: z.number().optional() }),
        kinds: z.array(z.enum(["jpeg", "png"])),
        limits: z.record(z.string(), z.number()),
      }),
    }),
    show: capability({
      ...nothing,
      input: z.object({
        dir: z.string(),
        any: z.json(),
        date: z.coerce.number(),
        code: z.preprocess(String, z.string()),
        mail: z
          .string()
          .trim()
          .toLowerCase()
          .max(5)
          .regex(/^[a-z@]+$/),
        either: z.union([z.string(), z.number()]),
      }),
    }),
  },
});
const findAgent = (name: string) => (name === album.name ? album : undefined);

function check(tasks: Record<string, Json>, input: Record<string, Json>): string[] {
  const definition = defineWorkflow({
    id: "album",
    params: Object.keys(input),
    tasks: Object.fromEntries(
      Object.entries(tasks).map(([key, given]) => {
        const [action = ""] = key.split("/");
        return [key, { do: `ALBUM.${action}`, title: key, with: given as Record<string, Json> }];
      }),
    ),
  });
  return checkInputTypes(definition, input, findAgent).map(
    ({ pointer, detail }) => `${pointer}: ${detail}`,
  );
}

const ref = (name: string): Json => param(name) as unknown as Json;

describe("checkInputTypes()", () => {
  test("tells every value that an action would refuse, once for each place", () => {
    const found = check(
      { scan: { dir: ref("dir"), size: { width: ref("width") } }, show: { dir: ref("dir") } },
      { dir: 7, width: 3.5 },
    );
    expect(found).toEqual([
      "/input/dir: Invalid input: expected string, received number (for ALBUM.scan)",
      "/input/width: Invalid input: expected int, received number (for ALBUM.scan)",
    ]);
  });

  test("looks inside of values, lists and records, and names the place", () => {
    const tasks = {
      scan: { size: ref("size"), kinds: [ref("kind")], limits: { "a/b": ref("limit") } },
      "scan/2": { limits: ref("limits") },
    };
    const input = { size: { width: 8 }, kind: "gif", limit: "9", limits: { "x/y": "1" } };
    expect(check(tasks, input)).toEqual([
      "/input/size/width: Too small: expected number to be >=16 (for ALBUM.scan)",
      expect.stringMatching(/^\/input\/kind: Invalid option: expected one of "jpeg"\|"png"/),
      "/input/limit: Invalid input: expected number, received string (for ALBUM.scan)",
      "/input/limits/x~1y: Invalid input: expected number, received string (for ALBUM.scan)",
    ]);
  });

  test("says what a union takes", () => {
    expect(check({ show: { either: ref("either") } }, { either: true })).toEqual([
      "/input/either: Invalid input: expected string or number (for ALBUM.show)",
    ]);
  });

  test("refuses nothing that the action takes: converted, trimmed, free or optional values", () => {
    const tasks = {
      show: {
        dir: ref("dir"),
        any: ref("any"),
        date: ref("date"),
        code: ref("code"),
        mail: ref("mail"),
        either: ref("either"),
      },
    };
    const input = { dir: "", any: [{ a: null }], date: "5", code: 5, mail: "   A@B   ", either: 1 };
    const { show } = album.capabilities;
    expect(show?.input.safeParse(input).success).toBe(true);
    expect(check(tasks, input)).toEqual([]);
  });

  test("says nothing of inputs that are missing, unused, or go to an unknown action", () => {
    const definition = defineWorkflow({
      id: "album",
      params: ["dir", "spare", "gone"],
      tasks: {
        a: { do: "ALBUM.scan", title: "a", with: { dir: param("dir"), kinds: output("b") } },
        b: { do: "ALBUM.gone", title: "b", with: { dir: param("gone") } },
        c: { do: "NOBODY.act", title: "c", with: { dir: param("gone") } },
      },
    });
    expect(checkInputTypes(definition, { spare: 1, gone: 1 }, findAgent)).toEqual([]);
  });
});

test("inputSchemaOf() joins what several actions ask, and requires what the node does not know", () => {
  const definition = defineWorkflow({
    id: "album",
    params: ["dir", "width", "spare"],
    tasks: {
      a: {
        do: "ALBUM.scan",
        title: "a",
        with: { dir: param("dir"), size: { width: param("width") } },
      },
      b: { do: "ALBUM.scan", title: "b", with: { dir: param("dir") } },
      c: { do: "ALBUM.show", title: "c", with: { dir: param("dir") } },
    },
  });
  expect(inputSchemaOf(definition, findAgent, ["width"])).toEqual({
    type: "object",
    properties: {
      dir: {
        allOf: [
          { type: "string", minLength: 1, description: "Folder of images" },
          { type: "string" },
        ],
      },
      width: expect.objectContaining({ type: "integer", minimum: 16 }),
      spare: {},
    },
    required: ["dir", "spare"],
    additionalProperties: false,
  });
});
