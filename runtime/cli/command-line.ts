/**
 * The `spectra` command: its verbs, flags and exit codes (0 done, 1 failed, 2 wrong usage or configuration).
 *
 * @module
 */

import { statSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { Json } from "../../machines/error-code.ts";
import { type Config, ConfigError, loadConfig } from "../config.ts";
import { nearest } from "../nearest-name.ts";
import { logLevels, type SettingKey } from "../settings.ts";
import { version } from "../version.ts";
import { type ApiClient, openApiClient, VerbError } from "./api-client.ts";
import { addSteeringVerbs } from "./control-commands.ts";
import { addHistoryVerbs } from "./history-commands.ts";
import { collect, httpUrl, jsonObject } from "./option-values.ts";
import type { SimulateVerb } from "./plan-verbs.ts";
import * as planVerbs from "./plan-verbs.ts";
import { addScheduleVerbs, type VerbTools } from "./schedule-commands.ts";
import * as verbs from "./verbs.ts";

export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** Flags that are settings too: by commander's name of the option. */
const settingFlags: Readonly<Record<string, readonly [SettingKey, string]>> = {
  agents: ["agents", "--agents"],
  archive: ["archive", "--archive"],
  dashboard: ["dashboard.interface", "--dashboard"],
  dataDir: ["data_dir", "--data-dir"],
  host: ["dashboard.host", "--host"],
  inspect: ["dashboard.inspector", "--inspect"],
  logLevel: ["log_level", "--log-level"],
  port: ["dashboard.port", "--port"],
  watch: ["watch", "--watch"],
  workflows: ["workflows", "--workflows"],
};

interface SupervisorFlags {
  readonly phase?: number;
  readonly status?: true;
  readonly demo?: true;
  readonly config?: string;
  readonly exit?: boolean;
  readonly json?: true;
}

interface VerbFlags {
  readonly url?: string;
  readonly config?: string;
  readonly json?: true;
}

/** Runs one command; resolves with the exit code. Never throws for what a person can mend. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  let code: number = EXIT.done;
  const program = createProgram((result) => {
    code = result;
  });
  try {
    refuseUnknownVerb(program, args[0]);
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    // Commander has written its message already; its code 0 is for --help and --version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (!(error instanceof ConfigError) && !(error instanceof VerbError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error instanceof ConfigError ? EXIT.usage : EXIT.failed;
  }
}

/** A first word that is no verb would count as an argument of the default verb. */
function refuseUnknownVerb(program: Command, word: string | undefined): void {
  if (word === undefined || word.startsWith("-")) return;
  const known = [...program.commands.map((command) => command.name()), "help"];
  if (known.includes(word)) return;
  const near = nearest(word, known);
  const hint = near === undefined ? `there are ${known.join(", ")}` : `did you mean "${near}"?`;
  program.error(`Cannot run "${word}": there is no such verb; ${hint}`);
}

type Finish = (code: number) => void;

function createProgram(finish: Finish): Command {
  const program = new Command("spectra")
    .description("Runs and operates SPECTRA, a multi-agent orchestrator")
    .version(version, "--version", "print the version")
    .helpOption("--help", "show what there is")
    .exitOverride()
    // What stands behind a verb is for it, and for the verbs below it.
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError("(see --help)");
  addSupervisor(program, finish);
  const workflows = addRunVerbs(program, finish);
  addControlVerbs(program, finish);
  addAgentVerbs(program, finish);
  const tools: VerbTools<VerbFlags> = {
    verb,
    act: async (flags, act) => finish(await withApi(flags, act)),
  };
  addScheduleVerbs(program, tools);
  addHistoryVerbs(program, workflows, tools);
  addSteeringVerbs(program, tools);
  return program;
}

function addSupervisor(program: Command, finish: Finish): void {
  program
    .command("supervisor", { isDefault: true })
    .description("start a node with its dashboard, or ask a running one with --status")
    .option("--phase <number>", "run this phase, or continue it", phaseNumber)
    .addOption(new Option("--demo", "run the tour of the coordination patterns").conflicts("phase"))
    .addOption(
      new Option("--status", "show what runs on this data folder").conflicts(["phase", "demo"]),
    )
    .option("--archive <url>", "what Phase 1 reads: sqlite:FILE, telegram:FILE or mbox:PATH")
    .option("--agents <folder>", "run the agents of its modules too; may be repeated", collect)
    .option("--workflows <folder>", "know the workflows of its modules; may be repeated", collect)
    .option("--watch", "take changes in these folders over while running")
    .option("--inspect", "open a bridge to the Stately Inspector, see docs/inspection.md")
    .option("--config <file>", "default spectra_config.json, when there is one")
    .option("--port <number>", "of the dashboard and API; 0 takes a free one (default 5000)")
    .option("--host <address>", "a loopback address (default 127.0.0.1)")
    .option("--data-dir <folder>", "holds everything that is kept (default .spectra)")
    .option("--dashboard <kind>", "console: live view here too; web: only the page")
    .option("--log-level <level>", `what stderr shows: ${logLevels.join(", ")} (default warn)`)
    .option("--exit", "end after the phase or demo (default when stdout is not a terminal)")
    .option("--no-exit", "stay after the phase or demo (default on a terminal)")
    .option("--json", "JSON lines on stdout")
    .action(async (flags: SupervisorFlags) => finish(await supervisor(flags)));
}

async function supervisor(flags: SupervisorFlags): Promise<number> {
  const config = configOf(flags);
  if (flags.status) return await withApi(flags, verbs.showStatus);
  if (flags.phase !== undefined && flags.phase !== 1) {
    return unavailable(`Phase ${flags.phase} is not available yet: this version runs Phase 1`);
  }
  if (config.dashboard === "terminal") {
    return unavailable(
      "The terminal dashboard is not available yet: use --dashboard console or --dashboard web",
    );
  }
  const missing = missingFolder(config);
  if (missing !== undefined) return unavailable(missing);
  const { runSupervisor } = await import("./supervisor.ts");
  return await runSupervisor({
    config,
    workflow: flags.phase === 1 ? "phase1" : flags.demo ? "demo" : undefined,
    exit: flags.exit,
    json: flags.json ?? false,
  });
}

/** Returns the verb `workflows`, which has verbs of its own. */
function addRunVerbs(program: Command, finish: Finish): Command {
  verb(program, "run <workflow>", "start a workflow on the running supervisor")
    .option("--input <json>", "its input, as a JSON object", jsonObject, {})
    .option("--follow", "wait for its end; the exit code is its result")
    .action(
      async (
        workflow: string,
        flags: VerbFlags & { input: { [key: string]: Json }; follow?: true },
      ) => {
        const asked = { workflow, input: flags.input, follow: flags.follow ?? false };
        finish(await withApi(flags, (api, out) => verbs.runWorkflow(api, asked, out)));
      },
    );
  const workflows = verb(program, "workflows", "list what can be run, and the input that it takes")
    // The flags of its own verbs are theirs.
    .enablePositionalOptions()
    .action(async (flags: VerbFlags) => finish(await withApi(flags, verbs.listKnown)));
  verb(program, "list", "list runs, newest first")
    .option("--status <status>", "only these")
    .option("--workflow <name>", "only of this workflow")
    .option("--agent <name>", "with a task of this agent")
    .option("--code <code>", "with this error code")
    .option("--since <time>", "created at this time or later, ISO 8601")
    .option("--until <time>", "created before this time, ISO 8601")
    .option("--parent <run>", "started by this run")
    .option("--root <run>", "in the tree of this run")
    .option("--schedule <id>", "started by this schedule")
    .option("--forked-from <run>", "forks of this run")
    .option("--attribute <key=value>", "with this attribute; can be repeated", collect)
    .option("--archived <yes>", "true: only archived runs; false: only others")
    .option("--limit <number>", "at most, 1 to 200", "20")
    .action(async (flags: VerbFlags & ListFlags) =>
      finish(await withApi(flags, (api, out) => verbs.listWorkflows(api, searchOf(flags), out))),
    );
  verb(program, "show <run>", "show a run and its tasks").action(
    async (id: string, flags: VerbFlags) =>
      finish(await withApi(flags, (api, out) => verbs.showWorkflow(api, id, out))),
  );
  verb(program, "plan <run>", "show when a run will end, and what decides that").action(
    async (id: string, flags: VerbFlags) =>
      finish(await withApi(flags, (api, out) => planVerbs.showPlan(api, id, out))),
  );
  verb(
    program,
    "simulate <workflow>",
    "carry a workflow through in virtual time; nothing is started",
  )
    .option("--input <json>", "its input, as a JSON object", jsonObject, {})
    .option("--tasks <json>", "durations, failures and outputs by task", jsonObject, {})
    .action(async (workflow: string, flags: VerbFlags & Omit<SimulateVerb, "workflow">) => {
      const asked = { workflow, input: flags.input, tasks: flags.tasks };
      finish(await withApi(flags, (api, out) => planVerbs.simulateWorkflow(api, asked, out)));
    });
  verb(program, "explain <run> [task]", "say why a task is not running").action(
    async (id: string, task: string | undefined, flags: VerbFlags) =>
      finish(await withApi(flags, (api, out) => verbs.explain(api, { id, task }, out))),
  );
  return workflows;
}

interface ListFlags {
  readonly [filter: string]: unknown;
  readonly attribute?: readonly string[];
}

const searchFlags = [
  "status",
  "workflow",
  "agent",
  "code",
  "since",
  "until",
  "parent",
  "root",
  "schedule",
  "forkedFrom",
  "archived",
  "limit",
];

/** The query of the list: each flag by its name, attributes as `attribute.KEY`. */
function searchOf(flags: ListFlags): Record<string, string> {
  const given = searchFlags.flatMap((name) => {
    const value = flags[name];
    return typeof value === "string" || typeof value === "number"
      ? [[name, String(value)] as const]
      : [];
  });
  const attributes = (flags.attribute ?? []).map((pair) => {
    const [key = "", ...value] = pair.split("=");
    return [`attribute.${key}`, value.join("=")] as const;
  });
  return Object.fromEntries([...given, ...attributes]);
}

function addControlVerbs(program: Command, finish: Finish): void {
  const controls = [
    ["pause", "start no further task of a run"],
    ["resume", "go on after a pause"],
    ["cancel", "stop the tasks of a run and end it"],
  ] as const;
  for (const [control, description] of controls) {
    verb(program, `${control} <run>`, description)
      .option("--reason <text>", "goes into the journal")
      .action(async (id: string, flags: VerbFlags & { reason?: string }) => {
        const asked = { id, ...reasonOf(flags) };
        finish(await withApi(flags, (api, out) => verbs.controlWorkflow(api, control, asked, out)));
      });
  }
  verb(program, "retry <run> [task]", "run failed and cancelled tasks again, or just one")
    .option("--reason <text>", "goes into the journal")
    .action(
      async (id: string, task: string | undefined, flags: VerbFlags & { reason?: string }) => {
        const asked = { id, ...reasonOf(flags), ...(task === undefined ? {} : { task }) };
        finish(await withApi(flags, (api, out) => verbs.controlWorkflow(api, "retry", asked, out)));
      },
    );
}

function addAgentVerbs(program: Command, finish: Finish): void {
  verb(program, "agents", "list the agents and how they are").action(async (flags: VerbFlags) =>
    finish(await withApi(flags, verbs.listAgents)),
  );
  verb(program, "restart <agent>", "restart an agent's thread; its tasks are retried")
    .option("--reason <text>", "goes into the journal")
    .action(async (name: string, flags: VerbFlags & { reason?: string }) => {
      const asked = { name, ...reasonOf(flags) };
      finish(await withApi(flags, (api, out) => verbs.restartAgent(api, asked, out)));
    });
}

function verb(program: Command, usage: string, description: string): Command {
  return program
    .command(usage)
    .description(description)
    .option("--url <url>", "of the supervisor (default: the one of the data folder)", httpUrl)
    .option("--data-dir <folder>", "of the supervisor (default .spectra)")
    .option("--config <file>", "default spectra_config.json, when there is one")
    .option("--json", "print the result as JSON");
}

async function withApi(
  flags: { readonly url?: string; readonly config?: string; readonly json?: true },
  act: (api: ApiClient, out: verbs.VerbOutput) => Promise<number>,
): Promise<number> {
  const { dataDir } = configOf(flags);
  const json = flags.json ?? false;
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  return await act(await openApiClient({ url: flags.url, dataDir }), {
    line: (text) => (json ? undefined : print(text)),
    json: (value) => (json ? print(JSON.stringify(value, null, 2)) : undefined),
  });
}

/** @throws {ConfigError} */
function configOf(flags: object & { readonly config?: string }): Config {
  const given = Object.entries(flags).flatMap(([name, value]) => {
    const [key, flag] = settingFlags[name] ?? [];
    if (key === undefined || flag === undefined) return [];
    return [[key, flag, Array.isArray(value) ? value.map(String) : String(value)] as const];
  });
  return loadConfig({ file: flags.config, flags: given });
}

/** Told before anything starts: most likely a slip of the finger. */
function missingFolder({ agents, workflows, watch }: Config): string | undefined {
  for (const folder of [...agents, ...workflows]) {
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
      const flag = agents.includes(folder) ? "--agents" : "--workflows";
      return `Cannot load "${folder}": there is no such folder; correct ${flag} or create it`;
    }
  }
  return watch && agents.length + workflows.length === 0
    ? "Cannot watch: name a folder with --agents or --workflows"
    : undefined;
}

function reasonOf({ reason }: { readonly reason?: string }) {
  return reason === undefined ? {} : { reason };
}

function unavailable(message: string): number {
  process.stderr.write(`${message}\n`);
  return EXIT.usage;
}

function phaseNumber(text: string): number {
  if (/^[1-4]$/.test(text)) return Number(text);
  throw new InvalidArgumentError("The phases are 1, 2, 3 and 4.");
}
