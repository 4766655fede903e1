/**
 * Runs cases in this process, Deno or Node, and prints a line of JSON before and after each.
 *
 *     deno run … run-cases.mjs '{"runtime":"deno","rows":[1,2],"caseLimitMs":90000,"waitLimitMs":60000}'
 *     node --import node-globals.mjs run-cases.mjs '{"runtime":"node","isolation":"thread",…}'
 *
 * @module
 */

import { cases } from "./cases/index.mjs";
import { createTools, within } from "./tools.mjs";

/** A case that does not end within `caseLimitMs` is one that fails. */
const { rows, caseLimitMs, ...setting } = JSON.parse(process.argv[2]);
const environment = { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR };
for (const name of Object.keys(environment)) {
  if (environment[name] === undefined) delete environment[name];
}
const say = (line) => process.stdout.write(`@@${JSON.stringify(line)}\n`);

for (const [row, , run] of cases) {
  if (!rows.includes(row)) continue;
  say({ row, begun: true });
  const tools = createTools({ ...setting, environment });
  try {
    await within(run(tools), "end of the case", caseLimitMs);
    say({ row, passed: true });
  } catch (error) {
    say({ row, passed: false, why: String(error?.message ?? error).slice(0, 400) });
  }
  await tools.clean();
}
say({ done: true });
process.exit(0);
