import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { castVote } from "../../../../actors/agents/security/cast-vote.ts";
import { probeLogins } from "../../../../actors/agents/security/login-probe.ts";
import { scanBodies } from "../../../../actors/agents/security/scan-bodies.ts";
import { validateSecurityCompliance } from "../../../../actors/agents/security/validate-security-compliance.ts";
import { createAgentContext } from "../../../support/agent-context.ts";
import { createTestDatabase, type TestDatabase } from "../../../support/postgres.ts";
import { createTinyArchive, tinyRunId } from "../../../support/tiny-archive.ts";

let db: TestDatabase;
const suffix = randomBytes(4).toString("hex");
const roles = { owner: `o_${suffix}`, writer: `w_${suffix}`, reader: `r_${suffix}` };

beforeAll(async () => {
  db = await createTestDatabase();
  await createTinyArchive(db.sql, [
    "Write to alice@example.com or bob@example.com.",
    "Card 4111 1111 1111 1111, host 10.1.2.3.",
    Buffer.alloc(3 * 1024 * 1024, "nothing here. "),
    // An address across the border of the first part of 1 MiB.
    `${" ".repeat(1024 * 1024 - 5)}carol@example.com`,
  ]);
  for (const name of Object.values(roles)) await db.sql.unsafe(`create role ${name} nologin`);
  await db.sql.unsafe(`
    grant all on schema archive to ${roles.owner};
    grant usage on schema archive to ${roles.writer}, ${roles.reader};
    grant all on all tables in schema archive to ${roles.owner};
    grant select, insert, update, delete on all tables in schema archive to ${roles.writer};
    grant select on all tables in schema archive to ${roles.reader}`);
});
afterAll(async () => {
  for (const name of Object.values(roles))
    await db.sql.unsafe(`drop owned by ${name}; drop role ${name}`);
  await db.drop();
});

async function validate() {
  const ctx = createAgentContext(db.sql);
  const { input, output } = validateSecurityCompliance;
  const result = await validateSecurityCompliance.run(ctx, input.parse({ roles }));
  const parsed = output.parse(result) as {
    compliant: boolean;
    findings: { severity: string; area: string; detail: string }[];
    integrity: { bodies: number; damagedBodies: number; chainHead: string };
    messages: { counts: Record<string, number>; messagesWith: Record<string, number> };
  };
  const details = (area: string) =>
    parsed.findings.filter((one) => one.area === area).map((one) => one.detail);
  return { ...parsed, details };
}

test("validate_security_compliance finds the designed grants in order", async () => {
  expect((await validate()).details("grants")).toEqual([]);
});

test("validate_security_compliance counts personal data by kind and never shows a value", async () => {
  const result = await validate();
  expect(result.messages.counts).toMatchObject({ emailAddress: 3, creditCard: 1, ipAddress: 1 });
  expect(result.messages.messagesWith).toMatchObject({ emailAddress: 2, creditCard: 1 });
  expect(JSON.stringify(result)).not.toMatch(/alice|4111|10\.1\.2\.3/);
});

test("validate_security_compliance proves every body and gives the same chain each time", async () => {
  const [first, second] = [await validate(), await validate()];
  expect(first.integrity).toMatchObject({ bodies: 4, damagedBodies: 0 });
  expect(second.integrity.chainHead).toBe(first.integrity.chainHead);
});

test("validate_security_compliance reports grants that nobody designed, as not compliant", async () => {
  await db.sql.unsafe(`grant select on archive.messages to public;
    grant truncate on archive.users to ${roles.reader}; grant create on schema archive to ${roles.writer}`);
  const result = await validate();
  expect(result.compliant).toBe(false);
  expect(result.details("grants")).toEqual([
    "PUBLIC has SELECT on 1 tables of the archive",
    `${roles.reader} has TRUNCATE on 1 tables of the archive`,
    `${roles.writer} has CREATE on the schema archive`,
  ]);
  const proposal = proposalWith({});
  const ballot = await castVote.run(createAgentContext(db.sql), { proposal });
  expect(ballot).toMatchObject({ approve: false, reason: "open to everyone: archive.messages" });
  await db.sql.unsafe(`revoke select on archive.messages from public;
    revoke truncate on archive.users from ${roles.reader};
    revoke create on schema archive from ${roles.writer}`);
});

test("validate_security_compliance reports a body that differs from its recorded hash", async () => {
  const [original] = await db.sql`select raw from archive.bodies where message_id = 1`;
  await db.sql`update archive.bodies set raw = 'tampered' where message_id = 1`;
  const result = await validate();
  await db.sql`update archive.bodies set raw = ${original?.["raw"]} where message_id = 1`;
  expect(result.integrity.damagedBodies).toBe(1);
  expect(result.compliant).toBe(false);
  expect(result.details("integrity")).toEqual([
    "1 bodies differ from their recorded hash, as of 1",
  ]);
});

test("probeLogins() tells roles that are not asked for a password, on a server that trusts", async () => {
  const login = `l_${suffix}`;
  await db.sql.unsafe(`create role ${login} login password 'a-long-and-odd-one'`);
  const probe = await probeLogins(db.sql, new AbortController().signal);
  await db.sql.unsafe(`drop role ${login}`);
  const [rule] = await db.sql`select 1 from pg_hba_file_rules
    where type = 'host' and auth_method = 'trust' limit 1`;
  expect(rule === undefined ? probe.opened : probe.unasked).toEqual(
    rule === undefined ? [] : expect.arrayContaining([login]),
  );
});

test("scanBodies() reads every body once, however many pages there are", async () => {
  await db.sql`
    with more as (
      insert into archive.messages (id, conversation_id, source_id, sent_at, body_bytes, body_sha256,
        batch, run_id)
      select n, 1, 'm' || n, '2024-01-02', length(n::text), sha256(n::text::bytea), 0, ${tinyRunId}
      from generate_series(100, 4599) n returning id)
    insert into archive.bodies (message_id, raw) select id, id::text::bytea from more`;
  const scan = await scanBodies(createAgentContext(db.sql));
  expect(scan).toMatchObject({ bodies: 4_504, damagedBodies: 0 });
});

test("scanBodies() stops when the attempt is aborted", async () => {
  const signal = AbortSignal.abort(new Error("cancelled"));
  await expect(scanBodies(createAgentContext(db.sql, { signal }))).rejects.toThrow("cancelled");
});

function proposalWith(change: object) {
  const counts = { runId: tinyRunId, read: 4, migrated: 4, rejected: 0 };
  const lists = { criteria: [], failedChecks: [], severeFindings: [] };
  return { kind: "accept_phase1", workflowId: "wf", ...counts, ...lists, ...change };
}

test("SECURITY.cast_vote is against a phase with severe findings, and for one without", async () => {
  const vote = (change: object) =>
    castVote.run(createAgentContext(db.sql), { proposal: proposalWith(change) });
  expect(await vote({})).toMatchObject({ approve: true });
  expect(await vote({ severeFindings: ["a hole"] })).toEqual({ approve: false, reason: "a hole" });
});
