/**
 * `spectra signal`, `approve`, `skip` and so on: verbs that steer runs and tasks. Each is one request.
 *
 * @module
 */

import type { Command } from "commander";
import type { Json } from "../../machines/error-code.ts";
import type { BulkPreview, BulkView, CommandedRun, RunStateView, UpdateView } from "../system.ts";
import type { ApiClient } from "./api-client.ts";
import { jsonObject, wholeNumber } from "./option-values.ts";
import type { VerbTools } from "./schedule-commands.ts";
import type { VerbOutput } from "./verbs.ts";

type Body = { readonly [key: string]: Json };

interface ControlFlags {
  readonly reason?: string;
  readonly payload?: Body;
  readonly output?: Body;
  readonly reject?: true;
  readonly filter?: Body;
  readonly priority?: number;
  readonly signal?: Body;
  readonly dryRun?: true;
}

export function addSteeringVerbs<Flags>(program: Command, tools: VerbTools<Flags>): void {
  const verb = (usage: string, description: string) =>
    tools.verb(program, usage, description).option("--reason <text>", "goes into the journal");
  const run = (id: string) => `/workflows/${encodeURIComponent(id)}`;
  const task = (id: string, key: string) => `${run(id)}/tasks/${encodeURIComponent(key)}`;
  type All = Flags & ControlFlags;
  const send = (flags: All, path: string, body: Body) =>
    tools.act(flags, (api, out) => command(api, path, { ...body, ...reasonOf(flags) }, out));

  verb("signal <run> <name>", "send a signal to a run")
    .argument("[payload]", "what it carries, a JSON object", jsonObject)
    .action((id: string, name: string, payload: Body[string] | undefined, flags: All) =>
      send(flags, `${run(id)}/signals`, { name, payload: payload ?? null }),
    );
  verb("update <run> <name>", "send a signal and tell what came of it; exit code 1 when refused")
    .argument("[payload]", "what it carries, a JSON object", jsonObject)
    .action((id: string, name: string, payload: Body[string] | undefined, flags: All) => {
      const body = { name, payload: payload ?? null, ...reasonOf(flags) };
      return tools.act(flags, (api, out) => update(api, `${run(id)}/updates`, body, out));
    });
  verb("approve <token>", "decide an approval")
    .option("--reject", "say no")
    .option("--payload <json>", "what the task's output holds, a JSON object", jsonObject)
    .action((token: string, flags: All) =>
      send(flags, `/approvals/${encodeURIComponent(token)}`, {
        decision: flags.reject === true ? "reject" : "approve",
        ...(flags.payload === undefined ? {} : { payload: flags.payload }),
      }),
    );
  verb("skip <run> <task>", "skip a task that has not ended well").action(
    (id: string, key: string, flags: All) => send(flags, `${task(id, key)}/skip`, {}),
  );
  verb("run-now <run> <task>", "lift every limit but its agent's own from a task").action(
    (id: string, key: string, flags: All) => send(flags, `${task(id, key)}/run-now`, {}),
  );
  verb("resolve <run> <task> <as>", "decide a parked task: succeeded, failed, retry or skip")
    .option("--output <json>", "of the task, a JSON object", jsonObject)
    .action((id: string, key: string, as: string, flags: All) =>
      send(flags, `${task(id, key)}/resolve`, {
        as,
        ...(flags.output === undefined ? {} : { output: flags.output }),
      }),
    );
  verb("priority <run>", "set the priority of a run or task, 1 to 5")
    .argument("<priority>", "1 (background) to 5 (critical)", wholeNumber)
    .argument("[task]", "only of this task")
    .action((id: string, priority: number, key: string | undefined, flags: All) =>
      send(flags, `${key === undefined ? run(id) : task(id, key)}/priority`, { priority }),
    );
  verb("budget <run>", "raise hard limits")
    .argument("<limits>", "'{\"tasks\": 500}'", jsonObject)
    .action((id: string, limits: Body, flags: All) => send(flags, `${run(id)}/budget`, { limits }));
  verb("bulk <operation>", "pause, resume, cancel, retry, priority or signal on all that match")
    .requiredOption("--filter <json>", '\'{"workflow": "x", "status": ["running"]}\'', jsonObject)
    .option("--priority <number>", "for priority: 1 to 5", wholeNumber)
    .option("--signal <json>", 'for signal: \'{"name": "go", "payload": 1}\'', jsonObject)
    .option("--dry-run", "only tell which runs match")
    .action((operation: string, flags: All) => {
      const { filter = {}, priority, signal } = flags;
      const body = {
        operation,
        filter,
        ...(priority === undefined ? {} : { priority }),
        ...(signal === undefined ? {} : { signal }),
        ...reasonOf(flags),
      };
      return tools.act(flags, (api, out) =>
        flags.dryRun === true ? preview(api, body, out) : bulk(api, body, out),
      );
    });
  tools
    .verb(program, "state <run>", "show what a run waits for")
    .action((id: string, flags: All) =>
      tools.act(flags, (api, out) => showState(api, `${run(id)}/state`, out)),
    );
}

function reasonOf({ reason }: ControlFlags): Body {
  return reason === undefined ? {} : { reason };
}

async function command(api: ApiClient, path: string, body: Body, out: VerbOutput): Promise<number> {
  const run = await api.post<CommandedRun>(path, body);
  out.json(run);
  out.line(`${run.id} is ${run.status}, journal entry ${run.command.entry?.seq ?? "none"}`);
  return 0;
}

async function update(api: ApiClient, path: string, body: Body, out: VerbOutput): Promise<number> {
  const view = await api.post<UpdateView>(path, body);
  out.json(view);
  const { answer, entry, workflowId } = view;
  const taken = `taken as journal entry ${entry?.seq ?? "none"}, the run is ${answer.status}`;
  out.line(`${workflowId}: ${answer.refusal?.message ?? taken}`);
  return answer.taken ? 0 : 1;
}

async function preview(api: ApiClient, body: Body, out: VerbOutput): Promise<number> {
  const view = await api.post<BulkPreview>("/workflows/bulk", { ...body, dryRun: true });
  out.json(view);
  const counts = Object.entries(view.statuses).map(([status, count]) => `${count} ${status}`);
  out.line([`${view.matched} match`, ...counts].join(", "));
  for (const { id, status, workflow } of view.runs) out.line(`  ${id} ${workflow} ${status}`);
  return 0;
}

/** 0 only when no run refused. */
async function bulk(api: ApiClient, body: Body, out: VerbOutput): Promise<number> {
  const { id, matched, taken, refused, pending, refusals } = await api.post<BulkView>(
    "/workflows/bulk",
    body,
  );
  out.json({ id, matched, taken, refused, pending, refusals });
  out.line(`${id}: ${matched} matched, ${taken} took it, ${refused} refused, ${pending} pending`);
  for (const { workflowId, message } of refusals) out.line(`  ${workflowId}: ${message}`);
  return refused === 0 ? 0 : 1;
}

async function showState(api: ApiClient, path: string, out: VerbOutput): Promise<number> {
  const state = await api.get<RunStateView>(path);
  out.json(state);
  out.line(`${state.id} is ${state.status} in ${state.state || "no state"}`);
  const { approvals, inFlight, parked, pause, signals, waiting } = state;
  if (pause !== null) {
    out.line(pause.drained ? "  paused, drained" : `  paused, draining ${inFlight}`);
  }
  for (const one of waiting) out.line(`  ${one.task} waits for ${one.for} ${one.what ?? ""}`);
  for (const one of parked) out.line(`  ${one.task} is parked: ${one.error?.message ?? ""}`);
  for (const one of approvals) out.line(`  ${one.task} needs an approval: ${one.token}`);
  for (const one of signals) out.line(`  signal ${one.name} waits since ${one.at}`);
  return 0;
}
