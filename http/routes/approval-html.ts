/**
 * The approval page as HTML, and its style: the dashboard's colours, one column, light and dark.
 *
 * @module
 */

import type { Json } from "../../machines/error-code.ts";
import type { ApprovalDetails } from "../../runtime/system.ts";
import type { DecisionForm } from "./approval-page.ts";
import { escapeHtml } from "./reference.ts";

interface Refused {
  readonly problem: string;
  readonly form: DecisionForm;
}

/** @param refused What was wrong with what the person sent, and what that was. */
export function approvalHtml(approval: ApprovalDetails, refused?: Refused): string {
  const { data, state, title, workflow } = approval;
  const alert =
    refused === undefined ? "" : `<p class="alert" role="alert">${escapeHtml(refused.problem)}</p>`;
  const act = state === "open" ? formHtml(refused?.form) : outcomeHtml(approval);
  const shown = data.map(dataHtml).join("");
  return frame(
    title,
    `<p class="over">${state === "open" ? "Your decision is asked for" : "An approval"} · ${escapeHtml(workflow)}</p>
<h1>${escapeHtml(title)}</h1>
${alert}${act}
<section aria-labelledby="facts"><h2 id="facts">What this is about</h2>${factsHtml(approval)}</section>
${shown === "" ? "" : `<section aria-labelledby="data"><h2 id="data">What it rests on</h2>${shown}</section>`}`,
  );
}

export function messageHtml(title: string, text: string): string {
  return frame(title, `<h1>${escapeHtml(title)}</h1><p>${escapeHtml(text)}</p>`);
}

function frame(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${escapeHtml(title)} · SPECTRA</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/approvals/style.css">
</head>
<body>
<header><strong>SPECTRA</strong></header>
<main>${body}</main>
</body>
</html>
`;
}

function formHtml(form: DecisionForm = { decision: "", comment: "", name: "" }): string {
  return `<form method="post">
<label for="comment">Comment <small>may be left out; goes to the run with your decision</small></label>
<textarea id="comment" name="comment" rows="3" maxlength="1000">${escapeHtml(form.comment)}</textarea>
<label for="name">Your name <small>may be left out; stands in the journal as you write it</small></label>
<input id="name" name="name" maxlength="100" autocomplete="name" value="${escapeHtml(form.name)}">
<div class="buttons">
<button class="good" name="decision" value="approve">Approve</button>
<button class="bad" name="decision" value="reject">Reject</button>
</div>
<p class="soft">This can be decided once.</p>
</form>`;
}

const CLOSED: Readonly<
  Record<Exclude<ApprovalDetails["state"], "open">, readonly [string, string]>
> = {
  approved: ["good", "Approved"],
  rejected: ["bad", "Rejected"],
  expired: ["idle", "Expired"],
  closed: ["idle", "No longer asked for"],
};

function outcomeHtml(approval: ApprovalDetails): string {
  if (approval.state === "open") return "";
  const [tone, word] = CLOSED[approval.state];
  return `<div class="outcome ${tone}" role="status"><strong>${word}</strong><p>${outcomeText(approval)}</p></div>`;
}

function outcomeText({ decision, expiresAt, runStatus, state }: ApprovalDetails): string {
  if (decision !== null) {
    const reason = decision.reason === null ? "" : `<q>${escapeHtml(decision.reason)}</q>`;
    return `Decided ${timeHtml(decision.at)} by ${escapeHtml(decision.by)}. Nothing more can be decided here. ${reason}`;
  }
  if (state === "expired") {
    const when = expiresAt === null ? "" : ` The deadline was ${timeHtml(expiresAt)}.`;
    return `Nobody decided in time.${when} Nothing can be decided here any more.`;
  }
  return `The run does not wait for this decision any more: it is ${runStatus}, or an operator went on without it.`;
}

function factsHtml(approval: ApprovalDetails): string {
  const { askedAt, expiresAt, startedBy, state, task, workflow, workflowId } = approval;
  const rows: (readonly [string, string])[] = [
    ["Workflow", escapeHtml(workflow)],
    ["Run", `<code>${escapeHtml(workflowId)}</code>`],
    ["Task", `<code>${escapeHtml(task)}</code>`],
    ["Started by", escapeHtml(startedBy)],
    ["Asked", timeHtml(askedAt)],
  ];
  if (expiresAt !== null) rows.push(["Deadline", timeHtml(expiresAt)]);
  else if (state === "open") rows.push(["Deadline", "none runs now"]);
  return `<dl>${rows.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("")}</dl>`;
}

/** The server does not know the reader's time zone. */
function timeHtml(iso: string): string {
  return `<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`;
}

function dataHtml({ title, value }: ApprovalDetails["data"][number]): string {
  return `<h3>${escapeHtml(title)}</h3>${valueHtml(value)}`;
}

/** Flat objects as a table, all else as indented JSON. */
function valueHtml(value: Json): string {
  if (typeof value === "string") return `<pre>${escapeHtml(value)}</pre>`;
  const isFlat =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((part) => typeof part !== "object" || part === null);
  if (!isFlat) return `<pre tabindex="0">${escapeHtml(JSON.stringify(value, undefined, 2))}</pre>`;
  const rows = Object.entries(value).map(
    ([name, part]) =>
      `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(typeof part === "string" ? part : JSON.stringify(part))}</dd></div>`,
  );
  return `<dl>${rows.join("")}</dl>`;
}

/** The colours are those of `dashboard/styles/base.css`. */
export const APPROVAL_STYLE = `:root{color-scheme:light dark;--ground:#f5f6f8;--card:#fff;--sunk:#f0f2f5;--ink:#171c26;--soft:#5a6475;--line:#e2e6ec;--strong:#c9d0da;--accent:#4355c9;--good:#19734a;--bad:#bb2a44;--idle:#667085;--on:#fff}
@media (prefers-color-scheme:dark){:root{--ground:#0f1217;--card:#171b22;--sunk:#11151b;--ink:#e7eaf0;--soft:#9fa9b8;--line:#262c36;--strong:#3a4350;--accent:#8b9cff;--good:#4fc78f;--bad:#ff8496;--idle:#8d98a8;--on:#10131c}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 ui-sans-serif,system-ui,"Segoe UI",Inter,"Noto Sans","DejaVu Sans",sans-serif;-webkit-text-size-adjust:100%}
header{padding:20px 24px 0;max-width:640px;margin:0 auto;letter-spacing:.09em;font-size:13px;color:var(--soft)}
main{max-width:640px;margin:14px auto 48px;padding:26px 28px 30px;background:var(--card);border:1px solid var(--line);border-radius:14px;box-shadow:0 6px 24px -14px rgb(20 28 46/14%)}
h1{margin:2px 0 18px;font-size:24px;line-height:1.25;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{margin:28px 0 8px;padding-top:20px;border-top:1px solid var(--line);font-size:15px}
h3{margin:14px 0 4px;font-size:13px}p{margin:0}.over,.soft,small{color:var(--soft);font-size:13px}small{font-weight:400}
form{display:grid;gap:6px}label{margin-top:8px;font-weight:600}
textarea,input{width:100%;min-height:44px;padding:9px 11px;border:1px solid var(--strong);border-radius:9px;background:var(--card);color:var(--ink);font:inherit}
textarea{resize:vertical}
.buttons{display:grid;grid-template-columns:1fr 1fr;gap:12px;margin:14px 0 4px}
button{min-height:48px;border:1px solid var(--good);border-radius:10px;background:var(--good);color:var(--on);font:inherit;font-weight:600;line-height:1;cursor:pointer}
button.bad{border-color:var(--bad);background:none;color:var(--bad)}
button:hover{filter:brightness(1.06)}
.alert,.outcome{padding:14px 16px;border-radius:10px;border-left:4px solid var(--bad);background:color-mix(in srgb,var(--bad) 9%,transparent);overflow-wrap:anywhere}
.alert{margin-bottom:14px}
.outcome{border-color:var(--idle);background:var(--sunk)}.outcome strong{font-size:17px}.outcome.good{border-color:var(--good)}.outcome.good strong{color:var(--good)}.outcome.bad{border-color:var(--bad)}.outcome.bad strong{color:var(--bad)}
q{display:block;margin-top:8px;white-space:pre-wrap}
dl{margin:0}dl div{display:grid;grid-template-columns:120px minmax(0,1fr);gap:12px;padding:3px 0;font-size:14px}dt{color:var(--soft);overflow-wrap:anywhere}dd{margin:0;overflow-wrap:anywhere}
code,pre{font:13px/1.55 ui-monospace,"SF Mono",Menlo,"DejaVu Sans Mono",monospace}
pre{overflow:auto;max-height:320px;margin:4px 0;padding:12px;border-radius:9px;background:var(--sunk);white-space:pre-wrap;overflow-wrap:anywhere}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
@media (max-width:720px){main{margin:12px 12px 32px;padding:20px 18px 24px}header{padding:16px 20px 0}h1{font-size:21px}dl div{grid-template-columns:100px minmax(0,1fr)}}
`;
