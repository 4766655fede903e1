/**
 * The page behind an approval's token: what is asked, and a form that decides. Rendered here, works
 * without scripts. Looking at it never decides, so that a preview of the link does no harm.
 *
 * @module
 */

import type { Context, Hono } from "hono";
import {
  type ApprovalDetails,
  type CommandedRun,
  RequestError,
  type System,
} from "../../runtime/system.ts";
import { SECURITY_HEADERS } from "../guard.ts";
import { ProblemError } from "../problem.ts";
import { readText } from "../route.ts";
import { APPROVAL_STYLE, approvalHtml, messageHtml } from "./approval-html.ts";

const STYLE_PATH = "/approvals/style.css";
const MAX_COMMENT = 1_000;
const MAX_NAME = 100;

/** A form that goes to this server; the browser may tell it where from, which is its proof of origin. */
const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy":
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; " +
    "form-action 'self'; frame-ancestors 'none'",
  "referrer-policy": "same-origin",
} as const;

/** Paths that ask for no API token: the approval's own token is the authority. */
export function isApprovalPath(path: string): boolean {
  return /^\/approvals\/[^/]+$/.test(path);
}

export function mountApprovalPage(app: Hono, { workflows }: System): void {
  app.get(STYLE_PATH, (context) =>
    context.body(APPROVAL_STYLE, 200, { "content-type": "text/css; charset=utf-8" }),
  );
  app.get("/approvals/:token", async (context) => {
    const found = await workflows.approval(context.req.param("token"));
    return found === undefined ? unknown(context) : page(context, approvalHtml(found), 200);
  });
  app.post("/approvals/:token", async (context) => {
    const token = context.req.param("token");
    const found = await workflows.approval(token);
    if (found === undefined) return unknown(context);
    const form = formOf(await readText(context.req.raw), context.req.header("content-type"));
    const problem = problemOf(form);
    if (problem !== undefined) return page(context, approvalHtml(found, { problem, form }), 422);
    const refusal = await decide(token, form);
    // Seen as a page of its own, a reload sends nothing again.
    if (refusal === undefined) {
      return context.body(null, 303, {
        ...HEADERS,
        location: `/approvals/${encodeURIComponent(token)}`,
      });
    }
    const now = (await workflows.approval(token)) ?? found;
    const status = refusal.code === "UNAVAILABLE" ? 503 : 409;
    return page(context, approvalHtml(now, { problem: refusalText(now, refusal), form }), status);
  });

  /** @returns Why it was refused. */
  async function decide(token: string, form: DecisionForm): Promise<RequestError | undefined> {
    const { comment, decision, name } = form;
    try {
      await (workflows.decide(
        token,
        { approve: decision === "approve", ...(comment === "" ? {} : { payload: { comment } }) },
        {
          actor: name === "" ? "approval page" : `approval page (${name})`,
          ...(comment === "" ? {} : { reason: comment }),
        },
      ) satisfies Promise<CommandedRun>);
      return undefined;
    } catch (error) {
      if (error instanceof RequestError) return error;
      throw error;
    }
  }
}

/** What the person wrote; shown again when it was refused. */
export interface DecisionForm {
  readonly decision: string;
  readonly comment: string;
  readonly name: string;
}

function formOf(text: string, contentType: string | undefined): DecisionForm {
  const type = contentType?.split(";")[0]?.trim().toLowerCase() ?? "none";
  if (type !== "application/x-www-form-urlencoded") {
    throw new ProblemError(
      "UNSUPPORTED_MEDIA_TYPE",
      `Cannot read a form of type "${type.slice(0, 100)}": send application/x-www-form-urlencoded, or JSON to /api/v1/approvals/TOKEN`,
    );
  }
  const fields = new URLSearchParams(text);
  const field = (name: string): string =>
    (fields.get(name) ?? "").replaceAll("\u0000", "").replaceAll("\r\n", "\n").trim();
  return { decision: field("decision"), comment: field("comment"), name: field("name") };
}

function problemOf({ comment, decision, name }: DecisionForm): string | undefined {
  if (decision !== "approve" && decision !== "reject") {
    return "Nothing was decided: press Approve or Reject.";
  }
  if (comment.length > MAX_COMMENT) {
    return `Nothing was decided: the comment has ${comment.length} characters, ${MAX_COMMENT} are possible.`;
  }
  if (name.length > MAX_NAME || /\p{Cc}/u.test(name)) {
    return `Nothing was decided: the name may have ${MAX_NAME} characters on one line.`;
  }
  return undefined;
}

function refusalText({ state }: ApprovalDetails, refusal: RequestError): string {
  if (refusal.code === "UNAVAILABLE") {
    return "Your decision is stored and will be applied. It is not confirmed yet: reload this page in a moment.";
  }
  if (state === "approved" || state === "rejected") {
    return "Your decision was not taken: somebody had decided before.";
  }
  return `Your decision was not taken. ${refusal.message}`;
}

function unknown(context: Context): Response {
  const text =
    "The link may be cut off, or the run that asked was removed. Ask whoever sent it for a new one.";
  return page(context, messageHtml("There is no such approval", text), 404);
}

function page(context: Context, html: string, status: 200 | 404 | 409 | 422 | 503): Response {
  return context.body(html, status, { ...SECURITY_HEADERS, ...HEADERS });
}
