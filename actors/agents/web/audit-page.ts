/**
 * WEB.audit_page: checks the markup of a page for the basics of accessibility.
 * It reads tags, it does not lay the page out: contrast and focus order are not its business.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";

const findingSchema = z.object({ rule: z.string(), detail: z.string() });
type Finding = z.infer<typeof findingSchema>;

export const auditPage = capability({
  description: "Checks language, title, viewport, headings, images, labels and ids of an HTML page",
  input: z.object({ html: z.string().max(60_000) }),
  output: z.object({ passed: z.boolean(), tags: z.number(), findings: z.array(findingSchema) }),
  connections: 0,
  async run(_ctx, { html }) {
    const findings = auditHtml(html);
    return { passed: findings.length === 0, tags: tagsOf(html).length, findings };
  },
});

interface Tag {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
}

/** Findings in the order of the rules; empty when the page keeps them all. */
export function auditHtml(html: string): Finding[] {
  const tags = tagsOf(html);
  const has = (name: string, attribute: string) =>
    tags.some((tag) => tag.name === name && (tag.attributes.get(attribute) ?? "") !== "");
  const findings: Finding[] = [];
  const report = (rule: string, detail: string) => findings.push({ rule, detail });
  if (!has("html", "lang")) report("language", "html has no lang");
  if (!/<title>\s*[^<\s]/i.test(html)) report("title", "the page has no title");
  if (!tags.some((tag) => tag.name === "meta" && tag.attributes.get("name") === "viewport")) {
    report("viewport", "no viewport is declared");
  }
  for (const tag of tags) {
    if (tag.name === "img" && !tag.attributes.has("alt")) {
      report("image", `img "${tag.attributes.get("src") ?? ""}" has no alt`);
    }
  }
  auditHeadings(tags, report);
  auditLabels(tags, report);
  const ids = tags.flatMap((tag) => tag.attributes.get("id") ?? []);
  for (const id of new Set(ids.filter((one, index) => ids.indexOf(one) !== index))) {
    report("id", `"${id}" names more than one element`);
  }
  return findings;
}

function auditHeadings(tags: readonly Tag[], report: (rule: string, detail: string) => void): void {
  let last = 0;
  for (const { name } of tags.filter((tag) => /^h[1-6]$/.test(tag.name))) {
    const level = Number(name.slice(1));
    if (level > last + 1) report("heading", `${name} follows level ${last}`);
    last = level;
  }
  if (last === 0) report("heading", "the page has no heading");
}

function auditLabels(tags: readonly Tag[], report: (rule: string, detail: string) => void): void {
  const labelled = new Set(tags.flatMap((tag) => tag.attributes.get("for") ?? []));
  for (const { name, attributes } of tags) {
    if (!["input", "select", "textarea"].includes(name)) continue;
    if (["hidden", "submit", "button"].includes(attributes.get("type") ?? "")) continue;
    const named = attributes.has("aria-label") || attributes.has("aria-labelledby");
    if (!named && !labelled.has(attributes.get("id") ?? ""))
      report("label", `${name} has no label`);
  }
}

function tagsOf(html: string): readonly Tag[] {
  const tags = html.replace(/<!--[\s\S]*?-->/g, "").matchAll(/<([a-z][a-z0-9]*)([^>]*)>/gi);
  return [...tags].map(([, name = "", rest = ""]) => ({
    name: name.toLowerCase(),
    attributes: new Map(
      [...rest.matchAll(/([a-z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/gi)].map(
        ([, key = "", double, single, bare]) => [key.toLowerCase(), double ?? single ?? bare ?? ""],
      ),
    ),
  }));
}
