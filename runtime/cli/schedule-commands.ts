/**
 * `spectra schedules …`: flags of the verbs about schedules.
 *
 * @module
 */

import { type Command, Option } from "commander";
import type { Json } from "../../machines/error-code.ts";
import {
  type OverlapPolicy,
  overlapPolicies,
  type ScheduleSpec,
} from "../../machines/schedule-spec.ts";
import type { ApiClient } from "./api-client.ts";
import { collect, duration, jsonObject, wholeNumber } from "./option-values.ts";
import * as verbs from "./schedule-verbs.ts";
import type { VerbOutput } from "./verbs.ts";

export interface VerbTools<Flags> {
  /** A verb with the flags that all have. */
  readonly verb: (parent: Command, usage: string, description: string) => Command;
  readonly act: (
    flags: Flags,
    verb: (api: ApiClient, out: VerbOutput) => Promise<number>,
  ) => Promise<void>;
}

interface CreateFlags {
  readonly workflow?: string;
  readonly definition?: { readonly [key: string]: Json };
  readonly input?: { readonly [key: string]: Json };
  readonly timeInput?: string;
  readonly priority?: number;
  readonly tenant?: string;
  readonly attributes?: { readonly [key: string]: Json };
  readonly cron?: readonly string[];
  readonly timeZone?: string;
  readonly every?: number;
  readonly offset?: number;
  readonly at?: readonly string[];
  readonly start?: string;
  readonly end?: string;
  readonly jitter?: number;
  readonly overlap?: OverlapPolicy;
  readonly bufferLimit?: number;
  readonly catchup?: number;
  readonly maxRuns?: number;
  readonly pauseOnFailure?: true;
  readonly replace?: true;
}

export function addScheduleVerbs<Flags>(program: Command, tools: VerbTools<Flags>): void {
  const schedules = program
    .command("schedules")
    .description("workflows that start at set times: list, show, create, pause and so on");
  addReadVerbs(schedules, tools);
  addCreate(schedules, tools);
  addControls(schedules, tools);
}

function overlapOption(): Option {
  const text = "what happens at a time whose predecessor still runs";
  return new Option("--overlap <policy>", text).choices(overlapPolicies);
}

function addReadVerbs<Flags>(schedules: Command, { act, verb }: VerbTools<Flags>): void {
  verb(schedules, "list", "list schedules with their next times").action((flags: Flags) =>
    act(flags, verbs.listSchedules),
  );
  verb(schedules, "show <schedule>", "show a schedule and its next five times").action(
    (id: string, flags: Flags) => act(flags, (api, out) => verbs.showSchedule(api, id, out)),
  );
  verb(schedules, "fires <schedule>", "what became of its times, newest first")
    .option("--limit <number>", "at most, 1 to 200", "20")
    .action((id: string, flags: Flags & { limit: string }) =>
      act(flags, (api, out) => verbs.listFires(api, { id, limit: flags.limit }, out)),
    );
}

function addCreate<Flags>(schedules: Command, { act, verb }: VerbTools<Flags>): void {
  verb(schedules, "create <schedule>", "create a schedule; one of --cron, --every and --at")
    .option("--workflow <name>", "what it starts")
    .option("--definition <json>", "what it starts, as JSON", jsonObject)
    .option("--input <json>", "the input, as a JSON object", jsonObject)
    .option("--time-input <name>", "parameter that gets the scheduled time")
    .option("--priority <number>", "1 (background) to 5 (critical)", wholeNumber)
    .option("--tenant <name>", "whom its runs count for in fairness")
    .option("--attributes <json>", "its runs get them, a JSON object", jsonObject)
    .option("--cron <expression>", "such as '0 3 * * *'; may be repeated", collect)
    .option("--time-zone <name>", "IANA name for --cron (default UTC)")
    .option("--every <duration>", "such as 15m", duration)
    .option("--offset <duration>", "moves the times of --every", duration)
    .option("--at <time>", "such as 2026-12-24T18:00:00+01:00; may be repeated", collect)
    .option("--start <time>", "no earlier time counts")
    .option("--end <time>", "no later time counts")
    .option("--jitter <duration>", "put each time off by up to this", duration)
    .addOption(overlapOption())
    .option("--buffer-limit <number>", "how many times bufferAll keeps", wholeNumber)
    .option("--catchup <duration>", "make up for times after a downtime (default 1d)", duration)
    .option("--max-runs <number>", "end after this many runs", wholeNumber)
    .option("--pause-on-failure", "pause when a run fails")
    .option("--replace", "take the place of a schedule of this name")
    .action((id: string, flags: Flags & CreateFlags) => {
      const asked = { id, spec: specOf(flags), replace: flags.replace ?? false };
      return act(flags, (api, out) => verbs.createSchedule(api, asked, out));
    });
}

/** What is missing is told by the API, with all else that is wrong. */
function specOf(flags: CreateFlags): ScheduleSpec {
  const given = {
    workflow: flags.workflow ?? flags.definition ?? "",
    input: flags.input,
    timeInput: flags.timeInput,
    priority: flags.priority,
    tenant: flags.tenant,
    attributes: flags.attributes,
    cron: flags.cron,
    timeZone: flags.timeZone,
    everyMs: flags.every,
    offsetMs: flags.offset,
    at: flags.at,
    startAt: flags.start,
    endAt: flags.end,
    jitterMs: flags.jitter,
    overlap: flags.overlap,
    bufferLimit: flags.bufferLimit,
    catchupWindowMs: flags.catchup,
    maxRuns: flags.maxRuns,
    pauseOnFailure: flags.pauseOnFailure,
  };
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as unknown as ScheduleSpec;
}

function addControls<Flags>(schedules: Command, { act, verb }: VerbTools<Flags>): void {
  type Reason = { reason?: string };
  const why = ({ reason }: Reason) => (reason === undefined ? {} : { reason });
  for (const [control, description] of [
    ["pause", "start nothing more by itself"],
    ["resume", "go on after a pause; its times are skipped"],
  ] as const) {
    verb(schedules, `${control} <schedule>`, description)
      .option("--reason <text>", "kept as the schedule's note")
      .action((id: string, flags: Flags & Reason) =>
        act(flags, (api, out) =>
          verbs.controlSchedule(api, control, { id, body: why(flags) }, out),
        ),
      );
  }
  verb(schedules, "trigger <schedule>", "start one now")
    .addOption(overlapOption())
    .option("--reason <text>", "kept as the schedule's note")
    .action((id: string, flags: Flags & Reason & { overlap?: OverlapPolicy }) => {
      const { overlap } = flags;
      const body = { ...why(flags), ...(overlap === undefined ? {} : { overlap }) };
      return act(flags, (api, out) => verbs.triggerSchedule(api, { id, body }, out));
    });
  verb(schedules, "backfill <schedule>", "make up for past times that have no run")
    .requiredOption("--from <time>", "first moment, such as 2026-01-01T00:00:00Z")
    .requiredOption("--to <time>", "last moment")
    .addOption(overlapOption())
    .option("--reason <text>", "kept as the schedule's note")
    .action(
      (id: string, flags: Flags & Reason & { from: string; to: string; overlap?: string }) => {
        const { from, to, overlap } = flags;
        const body = { from, to, ...why(flags), ...(overlap === undefined ? {} : { overlap }) };
        return act(flags, (api, out) => verbs.controlSchedule(api, "backfill", { id, body }, out));
      },
    );
  verb(schedules, "delete <schedule>", "remove a schedule; its runs go on").action(
    (id: string, flags: Flags) => act(flags, (api, out) => verbs.deleteSchedule(api, id, out)),
  );
}
