/**
 * `npm test`: sets up what the suites need, builds, runs every check and every test,
 * and ends with the line `N passed, N failed`.
 *
 * Arguments are passed on to vitest: `npm test -- test/machines`.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { build } from "../scripts/build.mjs";
import { checks, runTool } from "../scripts/checks.mjs";
import { hasNode, installNode, testedNodes } from "../scripts/install-nodes.mjs";

const isCi = process.env["CI"] === "true";

/**
 * What some suites need. A suite needs a part when its text, or the support file it imports, names it.
 * Programs can be installed; rights are there or not.
 */
const parts = [
  program("redis-server", ["redis-server"], /redis-server|support\/redis/),
  program(
    "chromium",
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
    /playwright-core|support\/browser/,
  ),
  {
    name: `Node ${testedNodes.join(", ")}`,
    mark: /support\/nodes/,
    isThere: () => testedNodes.every(hasNode),
    install: () => testedNodes.every(installNode),
    advice: "npm could not install them: is the registry reachable?",
  },
  {
    name: "root",
    mark: /support\/accounts/,
    isThere: isRoot,
    advice: "this is an ordinary user, and some suites start processes as others",
  },
  {
    name: "may mount",
    mark: /support\/small-disk/,
    isThere: mayMount,
    advice: "only root with the right to mount can make a disk that is full",
  },
];

const results = [];
const record = (name, passed) => {
  results.push({ name, passed });
  if (!passed) console.log(`✗ ${name}`);
};

const missing = parts.filter(
  ({ isThere, install }) => !isThere() && !(install?.() === true && isThere()),
);
const left = testFiles("test").filter((file) => {
  const text = readFileSync(file, "utf8");
  return missing.some(({ mark }) => mark.test(text));
});

heading("Build");
record("build", build());
for (const { name, command, when } of checks) {
  if (when !== undefined && !existsSync(when)) continue;
  heading(name);
  record(name, runTool(command));
}
heading("Tests");
const tests = runVitest(process.argv.slice(2));
report();

/** Runs all suites but the left-out ones; returns vitest's counts and the names of what failed. */
function runVitest(args) {
  const folder = mkdtempSync(join(tmpdir(), "spectra-run-"));
  const file = join(folder, "results.json");
  const excluded = left.flatMap((path) => ["--exclude", path]);
  // With arguments, it may be that every suite they name was left out.
  if (left.some((path) => args.some((arg) => path.includes(arg))))
    excluded.push("--passWithNoTests");
  // "default" prints a line per file and the details of each failure.
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const succeeded = runTool(["vitest", "run", ...reporters, ...excluded, ...args]);
  const found = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
  rmSync(folder, { recursive: true });
  const failures = (found?.testResults ?? []).flatMap(({ name, message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === "failed");
    if (failed.length > 0) return failed.map(({ fullName }) => `${name}: ${fullName}`);
    // A file that does not load has no tests to fail.
    return assertionResults.length === 0 ? [`${name}: ${message || "it has no tests"}`] : [];
  });
  // Skipped tests are as good as failed ones: nobody looked.
  const skipped = (found?.numPendingTests ?? 0) + (found?.numTodoTests ?? 0);
  if (skipped > 0) failures.push(`${skipped} tests were skipped`);
  if (!succeeded && failures.length === 0) failures.push("vitest ended with an error, see above");
  return { passed: found?.numPassedTests ?? 0, failures };
}

function report() {
  const failures = [
    ...results.filter(({ passed }) => !passed).map(({ name }) => name),
    ...tests.failures,
  ];
  if (isCi) failures.push(...left.map((file) => `${file} was left out`));
  heading("Summary");
  for (const { name, advice } of missing) console.log(`not there: ${name} (${advice})`);
  for (const file of left) console.log(`left out: ${file}`);
  for (const failure of failures) console.log(`failed: ${failure}`);
  const passed = results.filter((result) => result.passed).length + tests.passed;
  console.log(`${passed} passed, ${failures.length} failed`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

function heading(text) {
  console.log(`\n— ${text}`);
}

function program(name, programs, mark) {
  const advice = `not installed; on Debian: apt-get install ${name}`;
  const isThere = () => isOnPath(programs);
  return { name, mark, isThere, install: () => installPackages([name]), advice };
}

function isOnPath(programs) {
  return programs.some((name) =>
    (process.env["PATH"] ?? "").split(delimiter).some((folder) => isExecutable(join(folder, name))),
  );
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isRoot() {
  return process.getuid?.() === 0;
}

/** Tried, because root in a container often may not. */
function mayMount() {
  if (!isRoot()) return false;
  const folder = mkdtempSync(join(tmpdir(), "spectra-mount-"));
  const options = { stdio: "ignore" };
  const names = ["-t", "tmpfs", "-o", "size=1m", "spectra-test", folder];
  const mounted = spawnSync("mount", names, options).status === 0;
  if (mounted) spawnSync("umount", [folder], options);
  rmdirSync(folder);
  return mounted;
}

/** Where this is root on Debian; true when apt-get says that it worked. */
function installPackages(packages) {
  if (!isRoot() || !isOnPath(["apt-get"])) return false;
  heading(`Installing ${packages.join(", ")}`);
  const apt = (...args) =>
    spawnSync("apt-get", ["-qq", "-o", "Dpkg::Use-Pty=0", ...args], {
      stdio: ["ignore", 2, 2],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    }).status === 0;
  const names = ["install", "-y", "--no-install-recommends", ...packages];
  return apt(...names) || (apt("update") && apt(...names));
}

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => path.endsWith(".test.ts"));
}
