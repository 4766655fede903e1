/**
 * `spectra signal`, `approve`, `skip` and so on: verbs that steer runs and tasks. Each is one request.
 *
 * @module
 */

import type { Command } from "commander";
import type { Json } from "../../machines/error-code.ts";
import type { BulkView, CommandedRun, RunStateView } from "../system.ts";
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
}

export function addSteeringVerbs<Flags>(program: Command, tools: VerbTools<Flags>): void {
  const verb = (usage: string, description: string) =>
    tools.verb(program, usage, description).option("--reason <text>", "goes into the journal");
  const run = (id: string) => `/workflows/${encodeURIComponent(id)}`;
  const task = (id: string, key: string) => `${run(id)}/tasks/${encodeURIComponent(key)}`;
  type All = Flags & ControlFlags;
  const send = (flags: All, path: string, body: Body) =>
    tools.act(flags, (api, out) => command(api, path, { ...body, ...reasonOf(flags) }, out));

  tools
    .verb(program, "signal <run> <name>", "send a signal to a run")
    .argument("[payload]", "what it carries, a JSON object", jsonObject)
    .action((id: string, name: string, payload: Body[string] | undefined, flags: All) =>
      tools.act(flags, (api, out) =>
        command(api, `${run(id)}/signals`, { name, payload: payload ?? null }, out),
      ),
    );
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
  verb("priority <run> <priority> [task]", "set the priority of a run or task, 1 to 5").action(
    (id: string, text: string, key: string | undefined, flags: All) =>
      send(flags, `${key === undefined ? run(id) : task(id, key)}/priority`, {
        priority: wholeNumber(text),
      }),
  );
  verb("budget <run> <limits>", "raise hard limits: '{\"tasks\": 500}'").action(
    (id: string, limits: string, flags: All) =>
      send(flags, `${run(id)}/budget`, { limits: jsonObject(limits) }),
  );
  verb("bulk <operation>", "pause, resume, cancel or retry all runs that a filter matches")
    .requiredOption("--filter <json>", '\'{"workflow": "x", "status": ["running"]}\'', jsonObject)
    .action((operation: string, flags: All) =>
      tools.act(flags, (api, out) =>
        bulk(api, { operation, filter: flags.filter ?? {}, ...reasonOf(flags) }, out),
      ),
    );
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
