import { describe, expect, test } from "vitest";
import { fieldsOf, inputOf } from "../../../http/dashboard/input-form.ts";

const schema = {
  type: "object",
  properties: {
    dir: { allOf: [{}, { type: "string", description: "Folder of images" }] },
    width: { type: "integer" },
    kind: { type: "string", enum: ["jpeg", "png"] },
    deep: { type: "boolean" },
    limits: { type: "object" },
    any: {},
  },
  required: ["dir", "width"],
};

describe("fieldsOf()", () => {
  test("makes a field of every property, with what the schema says of it", () => {
    expect(fieldsOf(schema)).toEqual([
      { name: "dir", kind: "text", isRequired: true, hint: "Folder of images", choices: [] },
      { name: "width", kind: "number", isRequired: true, hint: "a whole number", choices: [] },
      { name: "kind", kind: "choice", isRequired: false, hint: "", choices: ["jpeg", "png"] },
      { name: "deep", kind: "boolean", isRequired: false, hint: "a boolean", choices: [] },
      { name: "limits", kind: "json", isRequired: false, hint: "a JSON object", choices: [] },
      { name: "any", kind: "free", isRequired: false, hint: "", choices: [] },
    ]);
  });

  test("of a schema that says nothing is no field", () => {
    expect(fieldsOf({})).toEqual([]);
    expect(fieldsOf(null)).toEqual([]);
  });
});

describe("inputOf()", () => {
  const fields = fieldsOf(schema);

  test("reads what was typed by kind, and leaves empty fields out", () => {
    const typed = { dir: "7", width: " 12 ", kind: "", limits: '{"a":1}', any: "a word" };
    expect(inputOf(fields, typed)).toEqual({
      input: { dir: "7", width: 12, deep: false, limits: { a: 1 }, any: "a word" },
      problems: {},
    });
    expect(inputOf(fields, { any: "[1]", deep: "true" }).input).toEqual({ any: [1], deep: true });
  });

  test("names the fields that cannot be read", () => {
    expect(inputOf(fields, { width: "twelve", limits: "{" }).problems).toEqual({
      width: "is not a number",
      limits: "is not JSON",
    });
  });
});
