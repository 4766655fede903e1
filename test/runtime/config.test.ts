/** @module Tests of the configuration: precedence, strictness, messages. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigError, type ConfigSources, loadConfig } from "../../runtime/config.ts";
import { settingKeys, settingOf } from "../../runtime/settings.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "spectra-config-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function load(file: unknown, sources: ConfigSources = {}) {
  if (file !== undefined) {
    const text = typeof file === "string" ? file : JSON.stringify(file);
    writeFileSync(join(folder, "spectra_config.json"), text);
  }
  return loadConfig({ environment: {}, cwd: folder, ...sources });
}

function problemsOf(file: unknown, sources: ConfigSources = {}): readonly string[] {
  try {
    load(file, sources);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("loadConfig()", () => {
  test("gives defaults without any file", () => {
    expect(load(undefined)).toEqual({
      dataDir: join(folder, ".spectra"),
      databaseUrl: undefined,
      redisUrl: undefined,
      host: "127.0.0.1",
      port: 5000,
      dashboard: "console",
      consoleUpdateMs: 500,
      archive: undefined,
      agents: [],
      workflows: [],
      watch: false,
      inspector: false,
      inspection: { mode: "off", secretNames: [] },
      limits: {},
      resourceBudget: {},
      retention: { afterMs: 30 * 86_400_000, then: "archive", deleteAfterMs: null },
      environment: {},
      logLevel: "warn",
      warnings: [],
    });
  });

  test("lets the environment override the file, and flags the environment", () => {
    const file = { dashboard: { port: 1 }, data_dir: "a", log_level: "info" };
    const config = load(file, {
      environment: { SPECTRA_PORT: "2", SPECTRA_DATA_DIR: "b" },
      flags: [["dashboard.port", "--port", "3"]],
    });
    expect([config.port, config.dataDir, config.logLevel]).toEqual([3, join(folder, "b"), "info"]);
  });

  test("accepts the seed's example and warns of keys without effect", () => {
    const config = load({
      database: { path: "spectra.db", backup_enabled: true },
      orchestration: {
        max_parallel_workflows: 5,
        default_timeout: 30,
        resource_limits: { cpu_cores: 8.0, memory_gb: 32.0 },
      },
      dashboard: { interface: "web", port: 5000, update_frequency: 1.0 },
      communication: { heartbeat_interval: 30, message_queue_size: 10000 },
    });
    expect(config.dashboard).toBe("web");
    expect(config.warnings).toContain(
      'spectra_config.json: "database.backup_enabled" has no effect yet: no backups are made yet',
    );
    expect(config.warnings.join()).not.toContain("dashboard");
  });

  test("takes folders as one text, as a list, from a variable and from a repeated flag", () => {
    expect(load({ agents: "mine" }).agents).toEqual([join(folder, "mine")]);
    expect(load({ workflows: ["a", "/b"] }).workflows).toEqual([join(folder, "a"), "/b"]);
    const environment = { SPECTRA_AGENTS: "a:/b", SPECTRA_WATCH: "true" };
    const config = load({ agents: "mine" }, { environment });
    expect([config.agents, config.watch]).toEqual([[join(folder, "a"), "/b"], true]);
    const flags = load(undefined, { flags: [["agents", "--agents", ["x", "y"]]] });
    expect(flags.agents).toEqual([join(folder, "x"), join(folder, "y")]);
    expect(problemsOf({ agents: [1] })[0]).toContain("must be a folder, or a list of at most 16");
  });

  test("takes limits as an object of the file, or as JSON of a variable", () => {
    const limits = { agents: { WEB: { limit: 2, rate: { limit: 5, perMs: 1_000 } } } };
    expect(load({ limits }).limits).toEqual(limits);
    const environment = { SPECTRA_LIMITS: JSON.stringify(limits) };
    expect(load({}, { environment }).limits).toEqual(limits);
    expect(problemsOf({ limits: { agents: { WEB: { limit: 0 } } } })[0]).toContain('"limits" is');
    expect(problemsOf({}, { environment: { SPECTRA_LIMITS: "{" } })[0]).toContain(
      "environment variable SPECTRA_LIMITS is",
    );
    const resource_limits = { cpu_cores: 8, memory_gb: 2 };
    expect(load({ orchestration: { resource_limits } }).resourceBudget).toEqual({
      cpu: 8,
      memoryMb: 2_048,
    });
  });

  test("is immutable", () => {
    const config = load(undefined) as { port: number };
    expect(() => {
      config.port = 1;
    }).toThrow(TypeError);
  });

  test("names an unknown key, its file, the likely one and what is allowed", () => {
    expect(problemsOf({ dashboard: { prot: 5000 } })).toEqual([
      'spectra_config.json: "dashboard.prot" is unknown, did you mean "dashboard.port"?; ' +
        'allowed in "dashboard": host, inspector, interface, port, update_frequency',
    ]);
    expect(problemsOf({ port: 5000 })[0]).toContain('did you mean "dashboard.port"?');
    expect(problemsOf({ zebra: 1 })[0]).toContain(
      "allowed at the top: agents, archive, automation,",
    );
  });

  test("tells all problems of all sources at once", () => {
    const problems = problemsOf(
      { dashboard: { port: "5000", interface: "tv" }, communication: 3, archive: "mail.db" },
      {
        environment: { SPECTRA_LOG_LEVEL: "loud" },
        flags: [["dashboard.port", "--port", "70000"]],
      },
    );
    expect(problems).toEqual([
      'spectra_config.json: "dashboard.port" is "5000", must be a whole number (0 takes a free port) from 0 to 65535',
      'spectra_config.json: "dashboard.interface" is "tv", must be one of "console", "web", "terminal"',
      'spectra_config.json: "communication" is 3, must be an object with delivery_guarantee, heartbeat_interval, message_queue_size',
      'spectra_config.json: "archive" is "mail.db", must be "sqlite:FILE", "telegram:FILE" or "mbox:FILE-OR-FOLDER"',
      'environment variable SPECTRA_LOG_LEVEL is "loud", must be one of "debug", "info", "warn", "error"',
      "--port is 70000, must be a whole number (0 takes a free port) from 0 to 65535",
    ]);
  });

  test("refuses unknown SPECTRA_ variables, but not those of the tests", () => {
    expect(
      problemsOf(undefined, { environment: { SPECTRA_PROT: "1", SPECTRA_TEST_X: "1" } }),
    ).toEqual(["environment variable SPECTRA_PROT is unknown; did you mean SPECTRA_PORT?"]);
  });

  test("never repeats a database URL, which may hold a password", () => {
    const problems = problemsOf({ database: { url: "mysql://me:secret@db/x" } });
    expect(problems).toHaveLength(1);
    expect(problems[0]).not.toContain("secret");
  });

  test("refuses every host but loopback", () => {
    for (const host of ["127.0.0.1", "::1", "localhost"]) {
      expect(load({ dashboard: { host } }).host).toBe(host);
    }
    expect(problemsOf({ dashboard: { host: "0.0.0.0" } })[0]).toContain(
      "other hosts are refused until authentication exists",
    );
  });

  test("takes relative paths from the folder of the file, or the working folder", () => {
    expect(load({ archive: "sqlite:mail.db" }).archive).toBe(`sqlite:${join(folder, "mail.db")}`);
    const flag = load(undefined, { flags: [["archive", "--archive", "mbox:/var/mail"]] });
    expect(flag.archive).toBe("mbox:/var/mail");
  });

  test("names the line and column where a file stops being JSON", () => {
    expect(problemsOf('{\n  "dashboard": {\n    "port": 5000,\n  }\n}')).toEqual([
      'spectra_config.json is not JSON at line 4, column 3: no comma may stand before "}"',
    ]);
  });

  test("refuses a named file that is not there, and a file that is not an object", () => {
    expect(problemsOf(undefined, { file: "none.json" })).toEqual([
      `none.json cannot be read: there is no such file (looked at ${join(folder, "none.json")})`,
    ]);
    expect(problemsOf([])[0]).toMatch(/^spectra_config.json is a list, must be an object with /);
  });
});

test("docs/configuration.md lists every key with its variable, and what has no effect", () => {
  const text = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");
  const rows = text.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  for (const key of settingKeys) {
    const { env, noEffect } = settingOf(key);
    const row = rows.find((cells) => cells[1] === `\`${key}\`` && cells[2] === `\`${env}\``);
    expect(row, key).toBeDefined();
    const isListedAsIdle = row?.some((cell) => cell.startsWith("**no effect yet**")) ?? false;
    expect(isListedAsIdle, key).toBe(noEffect !== undefined);
  }
});
