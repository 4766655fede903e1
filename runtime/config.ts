/**
 * Makes the configuration of a node from the file, the environment and the flags, in rising order of weight.
 * The only file that reads `process.env`. Nothing starts before all of it is valid.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { delimiter, dirname, resolve } from "node:path";
import type { FlowLimits } from "../machines/flow-options.ts";
import type { Resources } from "../machines/resource-budget.ts";
import { type CrashOrder, parseCrashOrder } from "./engine/crash-points.ts";
import type { RetentionPolicy } from "./history/retention.ts";
import { locateJsonError } from "./json-syntax.ts";
import { nearest } from "./nearest-name.ts";
import {
  childrenOf,
  isSection,
  isSettingKey,
  type LogLevel,
  type SettingKey,
  type SettingValue,
  settingKeys,
  settingOf,
  settings,
} from "./settings.ts";

/** Immutable. Paths are absolute. */
export interface Config {
  /** Holds the embedded server, the log, the reports and the lock. */
  readonly dataDir: string;
  /** PostgreSQL to use; undefined for the embedded one. May hold a password: never log it. */
  readonly databaseUrl: string | undefined;
  /** Redis for the queues; undefined for queues in PostgreSQL. May hold a password: never log it. */
  readonly redisUrl: string | undefined;
  /** A loopback address. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** `console` draws a live view in the terminal; the web page is served in any case. */
  readonly dashboard: "console" | "web" | "terminal";
  /** Time between two redraws of the console view. */
  readonly consoleUpdateMs: number;
  /** `sqlite:/absolute/path` and so on; undefined for the sample archive. */
  readonly archive: string | undefined;
  /** Folders with modules of agents. They are there when the command line starts a node. */
  readonly agents: readonly string[];
  /** Folders with modules of workflows. */
  readonly workflows: readonly string[];
  /** Take changes of these folders over while the node runs. */
  readonly watch: boolean;
  /** Open the bridge to Stately's inspector. */
  readonly inspector: boolean;
  readonly inspection: {
    readonly mode: "off" | "sampled" | "lossless";
    /** Further names of fields that no inspection shows. */
    readonly secretNames: readonly string[];
  };
  /** Limits of the flow of work over all nodes. */
  readonly limits: FlowLimits;
  /** What tasks of this node may take together. */
  readonly resourceBudget: Partial<Resources>;
  /** What becomes of ended runs. */
  readonly retention: RetentionPolicy;
  /** The process's own variables, for agents that are granted some of them. Never log it. */
  readonly environment: Environment;
  /** Threshold of what people see on stderr. */
  readonly logLevel: LogLevel;
  /** Where the process kills itself, for tests; undefined: nowhere. */
  readonly crashOrder: CrashOrder | undefined;
  /** Sentences for the operator, such as about keys that have no effect yet. */
  readonly warnings: readonly string[];
}

/** The configuration is unusable; the message holds all problems, one a line. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "CONFIG_INVALID";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    const [only] = problems;
    super(
      problems.length === 1
        ? `Cannot use the configuration: ${only}`
        : `Cannot use the configuration, ${problems.length} problems:\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
    );
    this.problems = problems;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ConfigSources {
  /** `--config`: must exist. Without it `spectra_config.json` of `cwd` is read when there is one. */
  readonly file?: string | undefined;
  /** Default `process.env`. */
  readonly environment?: Environment;
  /** By setting key, with the flag's own name and text: `["dashboard.port", "--port", "5000"]`. */
  readonly flags?: readonly (readonly [SettingKey, string, string | readonly string[]])[];
  /** Default the working folder of the process. */
  readonly cwd?: string;
}

interface Found {
  readonly value: unknown;
  /** How to name the place in a message: `spectra_config.json: "dashboard.port"`. */
  readonly where: string;
  /** Folder that relative paths start from. */
  readonly base: string;
}

type Values = Map<SettingKey, Found>;

const DEFAULT_FILE = "spectra_config.json";
const PREFIX = "SPECTRA_";
/** Variables with our prefix that are not settings. */
const otherVariables = /^SPECTRA_(?:CONFIG$|CRASH_POINT$|TEST_)/;

/** @throws {ConfigError} With all problems of all sources at once. */
export function loadConfig(sources: ConfigSources = {}): Config {
  const cwd = sources.cwd ?? process.cwd();
  const environment = sources.environment ?? process.env;
  const problems: string[] = [];
  const values: Values = new Map();
  readConfigFile(sources.file ?? environment["SPECTRA_CONFIG"], cwd, values, problems);
  readEnvironment(environment, cwd, values, problems);
  const crashOrder = readCrashOrder(environment["SPECTRA_CRASH_POINT"] ?? "", problems);
  for (const [key, flag, text] of sources.flags ?? []) {
    take(key, parseText(key, text), flag, cwd, values, problems);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return createConfig(values, cwd, environment, crashOrder);
}

/** Colours in output: `NO_COLOR` (no-color.org) and `TERM=dumb` forbid them. */
export function mayUseColour(environment: Environment = process.env): boolean {
  return (environment["NO_COLOR"] ?? "") === "" && environment["TERM"] !== "dumb";
}

function readConfigFile(
  asked: string | undefined,
  cwd: string,
  values: Values,
  problems: string[],
): void {
  const path = resolve(cwd, asked ?? DEFAULT_FILE);
  const name = asked ?? DEFAULT_FILE;
  const text = readText(path, name, asked !== undefined, problems);
  if (text === undefined) return;
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    const found = locateJsonError(text);
    problems.push(
      found === undefined
        ? `${name} is not JSON: ${String(error)}`
        : `${name} is not JSON at line ${found.line}, column ${found.column}: ${found.problem}`,
    );
    return;
  }
  walk(content, "", { name, base: dirname(path) }, values, problems);
}

function readText(
  path: string,
  name: string,
  required: boolean,
  problems: string[],
): string | undefined {
  try {
    // A byte order mark is what some editors put first; it carries no meaning.
    return readFileSync(path, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && !required) return undefined;
    const why = code === "ENOENT" ? "there is no such file" : message;
    problems.push(`${name} cannot be read: ${why} (looked at ${path})`);
    return undefined;
  }
}

function walk(
  node: unknown,
  key: string,
  file: { readonly name: string; readonly base: string },
  values: Values,
  problems: string[],
): void {
  const where = `${file.name}: "${key}"`;
  if (isSettingKey(key)) {
    take(key, node, where, file.base, values, problems);
  } else if (key !== "" && !isSection(key)) {
    problems.push(`${where} is unknown${didYouMean(key)}; ${allowedBeside(key)}`);
  } else if (typeof node !== "object" || node === null || Array.isArray(node)) {
    const what = key === "" ? `${file.name} is` : `${where} is`;
    problems.push(`${what} ${show(node)}, must be an object with ${childrenOf(key).join(", ")}`);
  } else {
    for (const [name, child] of Object.entries(node)) {
      walk(child, key === "" ? name : `${key}.${name}`, file, values, problems);
    }
  }
}

function readEnvironment(
  environment: Environment,
  cwd: string,
  values: Values,
  problems: string[],
): void {
  const known = new Map(settingKeys.map((key) => [settingOf(key).env, key]));
  for (const [name, text] of Object.entries(environment)) {
    const key = known.get(name);
    // Set but empty means not set, as in shells and compose files.
    if (text === undefined || text === "") continue;
    if (key !== undefined) {
      take(key, parseText(key, text), `environment variable ${name}`, cwd, values, problems);
    } else if (name.startsWith(PREFIX) && !otherVariables.test(name)) {
      const near = nearest(name, [...known.keys(), "SPECTRA_CONFIG"]);
      const hint = near === undefined ? "see docs/configuration.md" : `did you mean ${near}?`;
      problems.push(`environment variable ${name} is unknown; ${hint}`);
    }
  }
}

/** Numbers, booleans and lists of flags and variables become values; what is none stays text and is refused later. */
function parseText(key: SettingKey, text: string | readonly string[]): unknown {
  const { kind } = settingOf(key);
  // A flag that may be repeated.
  if (typeof text !== "string") return text;
  if (kind === "list") return text.split(delimiter).filter((part) => part !== "");
  if (kind === "number" && /^-?\d+(?:\.\d+)?$/.test(text)) return Number(text);
  if (kind === "boolean" && (text === "true" || text === "false")) return text === "true";
  if (kind === "json") return parseJson(text);
  return text;
}

/** Text that is no JSON stays text. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function take(
  key: SettingKey,
  value: unknown,
  where: string,
  base: string,
  values: Values,
  problems: string[],
): void {
  const { schema, allowed } = settingOf(key);
  if (schema.safeParse(value).success) values.set(key, { value, where, base });
  else problems.push(`${where} is ${show(value, key)}, must be ${allowed}`);
}

/** A wrong value as it stands in a message; a URL of a database may hold a password and is not repeated. */
function show(value: unknown, key?: SettingKey): string {
  if (key === "database.url" || key === "redis_url") return "not such a URL";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/** No setting: nobody wants it in a file. */
function readCrashOrder(text: string, problems: string[]): CrashOrder | undefined {
  if (text === "") return undefined;
  const order = parseCrashOrder(text);
  const allowed = 'a crash point and which time, as "turn.commit.before:2"; see docs/guarantees.md';
  if (order === undefined) {
    problems.push(`environment variable SPECTRA_CRASH_POINT is ${show(text)}, must be ${allowed}`);
  }
  return order;
}

function createConfig(
  values: Values,
  cwd: string,
  environment: Environment,
  crashOrder: CrashOrder | undefined,
): Config {
  const get = <K extends SettingKey>(key: K): SettingValue<K> | undefined =>
    values.has(key)
      ? (settings[key].schema.parse(values.get(key)?.value) as SettingValue<K>)
      : undefined;
  const baseOf = (key: SettingKey): string => values.get(key)?.base ?? cwd;
  const folders = (key: "agents" | "workflows"): readonly string[] =>
    Object.freeze((get(key) ?? []).map((folder) => resolve(baseOf(key), folder)));
  const archive = get("archive");
  return Object.freeze({
    dataDir: resolve(baseOf("data_dir"), get("data_dir") ?? ".spectra"),
    databaseUrl: get("database.url"),
    redisUrl: get("redis_url"),
    host: get("dashboard.host") ?? "127.0.0.1",
    port: get("dashboard.port") ?? 5_000,
    dashboard: get("dashboard.interface") ?? "console",
    consoleUpdateMs: Math.round((get("dashboard.update_frequency") ?? 0.5) * 1_000),
    archive: archive === undefined ? undefined : absoluteArchive(archive, baseOf("archive")),
    agents: folders("agents"),
    workflows: folders("workflows"),
    watch: get("watch") ?? false,
    inspector: get("dashboard.inspector") ?? false,
    inspection: Object.freeze({
      // Who opens an inspector wants to see something in it.
      mode: get("inspection.mode") ?? (get("dashboard.inspector") === true ? "lossless" : "off"),
      secretNames: Object.freeze(namesOf(get("inspection.secret_names"))),
    }),
    limits: Object.freeze(get("limits") ?? {}),
    resourceBudget: Object.freeze(budgetOf(get)),
    retention: Object.freeze(retentionOf(get)),
    environment: Object.freeze({ ...environment }),
    logLevel: get("log_level") ?? "warn",
    crashOrder,
    warnings: Object.freeze(warningsOf(values)),
  });
}

/** What tasks of the node may take together; a figure that is not set is no limit. */
function budgetOf(
  get: <K extends SettingKey>(key: K) => SettingValue<K> | undefined,
): Config["resourceBudget"] {
  const cpu = get("orchestration.resource_limits.cpu_cores");
  const memoryGb = get("orchestration.resource_limits.memory_gb");
  return {
    ...(cpu === undefined ? {} : { cpu }),
    ...(memoryGb === undefined ? {} : { memoryMb: memoryGb * 1_024 }),
  };
}

function retentionOf(
  get: <K extends SettingKey>(key: K) => SettingValue<K> | undefined,
): RetentionPolicy {
  const dayMs = 86_400_000;
  const then = get("orchestration.retention.then") ?? "archive";
  const archiveDays = get("orchestration.retention.archive_days");
  return {
    afterMs: then === "keep" ? null : (get("orchestration.retention.days") ?? 30) * dayMs,
    then: then === "delete" ? "delete" : "archive",
    deleteAfterMs: archiveDays === undefined ? null : archiveDays * dayMs,
  };
}

/** `sqlite:mail.db` becomes `sqlite:/base/mail.db`. */
function absoluteArchive(archive: string, base: string): string {
  const colon = archive.indexOf(":");
  return `${archive.slice(0, colon)}:${resolve(base, archive.slice(colon + 1))}`;
}

/** `pin, iban` */
function namesOf(text: string | undefined): string[] {
  return (text ?? "").split(",").flatMap((name) => (name.trim() === "" ? [] : [name.trim()]));
}

function warningsOf(values: Values): string[] {
  return [...values].flatMap(([key, { where }]) => {
    const { noEffect } = settingOf(key);
    return noEffect === undefined ? [] : [`${where} has no effect yet: ${noEffect}`];
  });
}

function didYouMean(key: string): string {
  const candidates = settingKeys.flatMap((known) => {
    const parts = known.split(".");
    return parts.map((_, index) => parts.slice(0, index + 1).join("."));
  });
  const last = key.split(".").at(-1) ?? key;
  // A right name in the wrong section is as likely as a slip of the finger.
  const moved = settingKeys.find((known) => known.split(".").at(-1) === last);
  const near = nearest(key, candidates) ?? moved;
  return near === undefined ? "" : `, did you mean "${near}"?`;
}

function allowedBeside(key: string): string {
  const section = key.split(".").slice(0, -1).join(".");
  const place = section === "" ? "at the top" : `in "${section}"`;
  return `allowed ${place}: ${childrenOf(section).join(", ")}`;
}
