import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { describeEndpoints } from "../../../actors/agents/apidesigner/describe-endpoints.ts";
import { compareProfiles } from "../../../actors/agents/datascience/compare-profiles.ts";
import { profileText } from "../../../actors/agents/datascience/profile-text.ts";
import { compareManifests } from "../../../actors/agents/deployer/compare-manifests.ts";
import { renderManifest } from "../../../actors/agents/deployer/render-manifest.ts";
import { validateModelMetadata } from "../../../actors/agents/mlops/validate-model-metadata.ts";
import { patchText } from "../../../actors/agents/patcher/apply-patch.ts";
import { scanText } from "../../../actors/agents/security/scan-text.ts";
import { auditHtml } from "../../../actors/agents/web/audit-page.ts";
import { renderApiPage } from "../../../actors/agents/web/render-api-page.ts";
import type { Capability } from "../../../actors/define-agent.ts";
import type { AgentContext } from "../../../actors/ports.ts";

/** These actions use nothing of their context. */
const noContext = new Proxy({} as AgentContext, {
  get: (_target, key) => {
    throw new Error(`Cannot use ctx.${String(key)}: this action needs no context`);
  },
});

async function run(capability: Capability, input: unknown): Promise<Record<string, unknown>> {
  const result = await capability.run(noContext, capability.input.parse(input));
  return capability.output.parse(result) as Record<string, unknown>;
}

const text = "one\ntwo\nthree\nfour\n";

test("apply_patch changes, adds and removes lines where the context matches", () => {
  const patch = "--- a\n+++ b\n@@ -1,2 +1,3 @@\n one\n-two\n+2\n+2b\n@@ -4 +5,0 @@\n-four\n";
  expect(patchText(text, patch)).toEqual({
    text: "one\n2\n2b\nthree\n",
    hunks: 2,
    added: 2,
    removed: 2,
  });
});

test("apply_patch adds to an empty old side", () => {
  expect(patchText(text, "@@ -1,0 +2 @@\n+one and a half\n").text).toBe(
    "one\none and a half\ntwo\nthree\nfour\n",
  );
});

test("apply_patch refuses a text that is not what the patch expects", () => {
  expect(() => patchText(text, "@@ -2 +2 @@\n-TWO\n+2\n")).toThrow(
    'Cannot apply the patch at line 2: expected "TWO"',
  );
  expect(() => patchText(text, "@@ -40 +40 @@\n-x\n+y\n")).toThrow(/at line 40/);
});

test.each(["", "hello", "@@ nonsense @@\n", "@@ -1,3 +1 @@\n-one\n+1\n"])(
  "apply_patch refuses the malformed patch %j",
  (patch) => {
    expect(() => patchText(text, patch)).toThrow(/^Cannot apply the patch: /);
  },
);

test("profile_text counts words and measures entropy", async () => {
  expect(await run(profileText, { text: "The cat. The dog!" })).toMatchObject({
    characters: 17,
    words: 4,
    distinctWords: 3,
    sentences: 2,
    terms: { the: 2, cat: 1, dog: 1 },
  });
  expect(await run(profileText, { text: "aaaa" })).toMatchObject({ entropyBits: 0 });
  expect(await run(profileText, { text: "abcd" })).toMatchObject({ entropyBits: 2 });
  expect(await run(profileText, { text: "" })).toMatchObject({ words: 0, entropyBits: 0 });
});

test("compare_profiles is 1 for the same words and 0 for none in common", async () => {
  const profile = (content: string) => run(profileText, { text: content });
  const compare = async (a: string, b: string) =>
    (await run(compareProfiles, { left: await profile(a), right: await profile(b) }))["similarity"];
  expect(await compare("red green blue", "blue red green")).toBeCloseTo(1);
  expect(await compare("red green", "one two")).toBe(0);
  expect(await compare("", "one two")).toBe(0);
  expect(await compare("red green", "red blue")).toBeCloseTo(0.5);
});

test("compare_profiles takes words that are names of object members as words", async () => {
  const left = await run(profileText, { text: "constructor toString" });
  const right = await run(profileText, { text: "plain words" });
  expect(await run(compareProfiles, { left, right })).toMatchObject({
    similarity: 0,
    sharedWords: [],
  });
});

const artifact = Buffer.from("weights");
const metadata = {
  name: "spam-filter",
  version: "1.0.0",
  sha256: createHash("sha256").update(artifact).digest("hex"),
  trainedAt: "2026-01-01T00:00:00Z",
  trainingRows: 100,
  classes: ["ham", "spam"],
  metrics: { accuracy: 0.9 },
};

test("validate_model_metadata accepts complete metadata that fit the file", async () => {
  const input = { metadata, artifact: artifact.toString("base64") };
  expect(await run(validateModelMetadata, input)).toEqual({ valid: true, problems: [] });
});

test("validate_model_metadata names each field that is wrong", async () => {
  const pointers = async (change: object, more: object = {}) => {
    const result = await run(validateModelMetadata, {
      metadata: { ...metadata, ...change },
      ...more,
    });
    return (result["problems"] as { pointer: string }[]).map((problem) => problem.pointer);
  };
  expect(await pointers({ version: "v1", classes: [] })).toEqual(["/version", "/classes"]);
  expect(await pointers({ metrics: { accuracy: 0.5 } })).toEqual(["/metrics/accuracy"]);
  expect(await pointers({ metrics: {} })).toEqual(["/metrics/accuracy"]);
  expect(await pointers({}, { artifact: "b3RoZXI=" })).toEqual(["/sha256"]);
});

const config = {
  name: "api",
  image: "registry.example.com:5000/api:1.0.0",
  replicas: 2,
  port: 8080,
  cpu: 0.25,
  memoryMb: 128,
};

test("render_manifest gives a Deployment and a Service that select the same pods", async () => {
  const result = await run(renderManifest, { config: JSON.stringify(config) });
  const labels = { "app.kubernetes.io/name": "api" };
  expect(result).toMatchObject({
    deployment: { spec: { replicas: 2, selector: { matchLabels: labels } } },
    service: { spec: { selector: labels, ports: [{ targetPort: 8080 }] } },
  });
});

test.each([
  ["{", /JSON/],
  [JSON.stringify({ ...config, image: "api:latest" }), /\/image: a fixed tag/],
  [JSON.stringify({ ...config, image: "api" }), /\/image: an image with a tag/],
  [JSON.stringify({ ...config, name: "No_Label" }), /\/name: a DNS label/],
  [JSON.stringify({ ...config, replcas: 3 }), /replcas/],
])("render_manifest refuses %s", async (bad, message) => {
  await expect(run(renderManifest, { config: bad })).rejects.toThrow(message);
});

test("compare_manifests lists changes and says whether pods are replaced", async () => {
  const render = async (change: object) =>
    (await run(renderManifest, { config: JSON.stringify({ ...config, ...change }) }))["deployment"];
  const before = await render({});
  expect(await run(compareManifests, { before, after: before })).toEqual({
    changes: [],
    replacesPods: false,
  });
  expect(await run(compareManifests, { before, after: await render({ replicas: 5 }) })).toEqual({
    changes: [{ pointer: "/spec/replicas", before: 2, after: 5 }],
    replacesPods: false,
  });
  const after = await render({ image: "api:2.0.0" });
  expect(await run(compareManifests, { before, after })).toMatchObject({ replacesPods: true });
});

test("describe_endpoints derives paths and a schema with its required fields", async () => {
  const fields = { title: { type: "string", required: true }, at: { type: "date-time" } };
  const result = await run(describeEndpoints, { resource: "note", fields });
  expect(result).toMatchObject({
    openapi: {
      openapi: "3.1.0",
      paths: { "/notes": { post: { responses: { 201: {} } } }, "/notes/{id}": { delete: {} } },
      components: {
        schemas: {
          note: {
            properties: { title: { type: "string" }, at: { type: "string", format: "date-time" } },
            required: ["title"],
          },
        },
      },
    },
  });
  expect(result["endpoints"]).toHaveLength(5);
});

test("render_api_page writes a page that its own audit accepts, and escapes what it is given", async () => {
  const endpoints = [{ endpoint: "GET /a<b>", summary: 'says "hi" & <script>' }];
  const { html } = await run(renderApiPage, { title: "A & B", endpoints });
  expect(auditHtml(html as string)).toEqual([]);
  expect(html).toContain("GET /a&lt;b&gt;");
  expect(html).not.toContain("<script>");
});

test("audit_page reports each rule that a page breaks", () => {
  const html = `<html><head></head><body><h1>x</h1><h3>y</h3><img src="a.png">
    <input type="text"><input type="hidden"><p id="a"></p><p id="a"></p></body></html>`;
  expect(auditHtml(html).map((finding) => finding.rule)).toEqual([
    "language",
    "title",
    "viewport",
    "image",
    "heading",
    "label",
    "id",
  ]);
});

test("scan_text counts by kind and adds the severe ones", async () => {
  const result = await run(scanText, { text: "a@example.com, 4111 1111 1111 1111" });
  expect(result).toMatchObject({ counts: { emailAddress: 1, creditCard: 1 }, severe: 1 });
});
