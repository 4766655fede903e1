/**
 * The table of all settings: key in the file, environment variable, what is allowed, whether it works yet.
 * The file's schema, the environment's names and the tables in the docs all follow from it.
 *
 * @module
 */

import { z } from "zod";
import { flowSchema } from "./flow-settings.ts";

/** What an allowed value looks like, in words that continue "must be ". */
interface Setting<T extends z.ZodType = z.ZodType> {
  readonly schema: T;
  readonly allowed: string;
  /** Environment variable that overrides the file. */
  readonly env: string;
  /** How the text of an environment variable becomes a value. */
  readonly kind: "text" | "number" | "boolean" | "list" | "json";
  /** Set while the key is accepted and checked but changes nothing: what to know instead. */
  readonly noEffect?: string;
}

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Folders of agents, or of workflows. */
const maxFolders = 16;
const loopbackHosts: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "localhost"]);
const archiveForm = /^(?:sqlite|telegram|mbox):(?!\/\/).+$/s;

function text(env: string, allowed: string, accept: (value: string) => boolean, noEffect?: string) {
  return setting("text", env, allowed, z.string().min(1).refine(accept), noEffect);
}

function choice<const T extends readonly [string, ...string[]]>(
  env: string,
  values: T,
  noEffect?: string,
) {
  const allowed = `one of ${values.map((value) => `"${value}"`).join(", ")}`;
  return setting("text", env, allowed, z.enum(values), noEffect);
}

function wholeNumber(
  env: string,
  unit: string,
  [from, to]: readonly [number, number],
  noEffect?: string,
) {
  const schema = z.int().min(from).max(to);
  return setting("number", env, `a whole number${unit} from ${from} to ${to}`, schema, noEffect);
}

function decimal(
  env: string,
  unit: string,
  [from, to]: readonly [number, number],
  noEffect?: string,
) {
  const schema = z.number().min(from).max(to);
  return setting("number", env, `a number${unit} from ${from} to ${to}`, schema, noEffect);
}

function setting<T extends z.ZodType>(
  kind: Setting["kind"],
  env: string,
  allowed: string,
  schema: T,
  noEffect: string | undefined,
): Setting<T> {
  return { kind, env, allowed, schema, ...(noEffect === undefined ? {} : { noEffect }) };
}

/** In the file a list, or one text; in a variable, as in PATH, with `:` between (`;` on Windows). */
function folderList(env: string) {
  const one = z.string().min(1);
  const schema = z.union([one.transform((folder) => [folder]), z.array(one).max(maxFolders)]);
  return setting("list", env, `a folder, or a list of at most ${maxFolders}`, schema, undefined);
}

/** True for a URL of one of the schemes that names a host. */
function isUrl(value: string, schemes: readonly string[]): boolean {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  return url !== undefined && schemes.includes(url.protocol);
}

const waits = "this version of the system does not use it";

/** By dotted key of `spectra_config.json`. The first five sections are the seed's. */
export const settings = {
  "database.url": text(
    "DATABASE_URL",
    'a URL like "postgres://user:password@host:5432/name"',
    (value) => isUrl(value, ["postgres:", "postgresql:"]),
  ),
  "database.path": text(
    "SPECTRA_DATABASE__PATH",
    "a path",
    () => true,
    'state is kept in PostgreSQL; to read a SQLite archive set "archive" or --archive',
  ),
  "database.backup_enabled": setting(
    "boolean",
    "SPECTRA_DATABASE__BACKUP_ENABLED",
    "true or false",
    z.boolean(),
    "no backups are made yet",
  ),
  "orchestration.max_parallel_workflows": wholeNumber(
    "SPECTRA_ORCHESTRATION__MAX_PARALLEL_WORKFLOWS",
    "",
    [1, 1_000],
    waits,
  ),
  "orchestration.default_timeout": decimal(
    "SPECTRA_ORCHESTRATION__DEFAULT_TIMEOUT",
    " of seconds",
    [0.1, 86_400],
    "each task names its own time limit",
  ),
  "orchestration.max_workers": wholeNumber(
    "SPECTRA_ORCHESTRATION__MAX_WORKERS",
    "",
    [1, 1_000],
    "each agent has one thread and its own concurrency",
  ),
  "orchestration.resource_limits.cpu_cores": decimal(
    "SPECTRA_ORCHESTRATION__RESOURCE_LIMITS__CPU_CORES",
    "",
    [0.1, 4_096],
  ),
  "orchestration.resource_limits.memory_gb": decimal(
    "SPECTRA_ORCHESTRATION__RESOURCE_LIMITS__MEMORY_GB",
    "",
    [0.1, 65_536],
  ),
  "orchestration.resource_limits.storage_gb": decimal(
    "SPECTRA_ORCHESTRATION__RESOURCE_LIMITS__STORAGE_GB",
    "",
    [0.1, 1_000_000],
    waits,
  ),
  "orchestration.resource_limits.network_mbps": decimal(
    "SPECTRA_ORCHESTRATION__RESOURCE_LIMITS__NETWORK_MBPS",
    "",
    [0.1, 1_000_000],
    waits,
  ),
  "orchestration.retention.days": decimal(
    "SPECTRA_ORCHESTRATION__RETENTION__DAYS",
    " of days",
    [0, 36_500],
  ),
  "orchestration.retention.then": choice("SPECTRA_ORCHESTRATION__RETENTION__THEN", [
    "archive",
    "delete",
    "keep",
  ]),
  "orchestration.retention.archive_days": decimal(
    "SPECTRA_ORCHESTRATION__RETENTION__ARCHIVE_DAYS",
    " of days",
    [0, 36_500],
  ),
  "dashboard.interface": choice("SPECTRA_DASHBOARD", ["console", "web", "terminal"]),
  "dashboard.host": text(
    "SPECTRA_HOST",
    'a loopback address ("127.0.0.1", "::1", "localhost"): other hosts are refused until authentication exists',
    (value) => loopbackHosts.has(value),
  ),
  "dashboard.port": wholeNumber("SPECTRA_PORT", " (0 takes a free port)", [0, 65_535]),
  "dashboard.update_frequency": decimal(
    "SPECTRA_DASHBOARD__UPDATE_FREQUENCY",
    " of seconds",
    [0.1, 60],
  ),
  "communication.heartbeat_interval": decimal(
    "SPECTRA_COMMUNICATION__HEARTBEAT_INTERVAL",
    " of seconds",
    [0.1, 3_600],
    "agents are watched at a fixed rate",
  ),
  "communication.message_queue_size": wholeNumber(
    "SPECTRA_COMMUNICATION__MESSAGE_QUEUE_SIZE",
    "",
    [1, 10_000_000],
    waits,
  ),
  "communication.delivery_guarantee": choice(
    "SPECTRA_COMMUNICATION__DELIVERY_GUARANTEE",
    ["at_most_once", "at_least_once", "exactly_once"],
    "messages between agents are delivered at most once",
  ),
  "automation.optimization_mode": choice(
    "SPECTRA_AUTOMATION__OPTIMIZATION_MODE",
    ["performance", "cost", "balance"],
    waits,
  ),
  "automation.resource_check_interval": decimal(
    "SPECTRA_AUTOMATION__RESOURCE_CHECK_INTERVAL",
    " of seconds",
    [0.1, 3_600],
    waits,
  ),
  "automation.max_automation_rules": wholeNumber(
    "SPECTRA_AUTOMATION__MAX_AUTOMATION_RULES",
    "",
    [0, 100_000],
    waits,
  ),
  agents: folderList("SPECTRA_AGENTS"),
  workflows: folderList("SPECTRA_WORKFLOWS"),
  "dashboard.inspector": setting(
    "boolean",
    "SPECTRA_INSPECTOR",
    "true or false",
    z.boolean(),
    undefined,
  ),
  "inspection.mode": choice("SPECTRA_INSPECTION", ["off", "sampled", "lossless"]),
  "inspection.secret_names": text(
    "SPECTRA_INSPECTION__SECRET_NAMES",
    'names of fields, separated by commas, like "iban, pin"',
    () => true,
  ),
  limits: setting(
    "json",
    "SPECTRA_LIMITS",
    "an object with global, agents, keys, tenants and ageingMs, as docs/flow-control.md says",
    flowSchema,
    undefined,
  ),
  watch: setting("boolean", "SPECTRA_WATCH", "true or false", z.boolean(), undefined),
  archive: text(
    "SPECTRA_ARCHIVE",
    '"sqlite:FILE", "telegram:FILE" or "mbox:FILE-OR-FOLDER"',
    (value) => archiveForm.test(value),
  ),
  data_dir: text("SPECTRA_DATA_DIR", "a path of a folder", () => true),
  log_level: choice("SPECTRA_LOG_LEVEL", logLevels),
  redis_url: text("REDIS_URL", 'a URL like "redis://host:6379"', (value) =>
    isUrl(value, ["redis:", "rediss:"]),
  ),
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingKey = keyof typeof settings;
export type SettingValue<K extends SettingKey> = z.output<(typeof settings)[K]["schema"]>;

/** All keys, in the order of the table. */
export const settingKeys = Object.keys(settings) as readonly SettingKey[];

export function isSettingKey(key: string): key is SettingKey {
  return Object.hasOwn(settings, key);
}

/** The setting with its types erased. */
export function settingOf(key: SettingKey): Setting {
  return settings[key];
}

/** True for `orchestration` and `orchestration.resource_limits`: an object holds the keys below it. */
export function isSection(key: string): boolean {
  return settingKeys.some((known) => known.startsWith(`${key}.`));
}

/** Names of what a section may hold, sorted; "" is the top of the file. */
export function childrenOf(section: string): readonly string[] {
  const prefix = section === "" ? "" : `${section}.`;
  const below = settingKeys.filter((key) => key.startsWith(prefix));
  return [...new Set(below.map((key) => key.slice(prefix.length).split(".")[0] ?? ""))].sort();
}
