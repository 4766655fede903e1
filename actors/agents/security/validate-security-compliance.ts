/**
 * SECURITY.validate_security_compliance: grants, logins, transport, integrity, and what messages give away.
 *
 * @module
 */

import { z } from "zod";
import { capability } from "../../define-agent.ts";
import type { AgentContext } from "../../ports.ts";
import { auditGrants } from "./audit-grants.ts";
import { probeLogins } from "./login-probe.ts";
import { type BodyScan, scanBodies } from "./scan-bodies.ts";
import { sensitiveCountsSchema } from "./scan-text.ts";
import { severeKinds } from "./sensitive-data.ts";

const findingSchema = z.object({
  /** `high`: someone gets in, or data are damaged. `medium`: a lower guard. `info`: worth knowing. */
  severity: z.enum(["high", "medium", "info"]),
  area: z.enum(["grants", "logins", "transport", "integrity", "messages"]),
  detail: z.string(),
});

type Finding = z.infer<typeof findingSchema>;

const input = z.object({
  roles: z.object({ owner: z.string(), writer: z.string(), reader: z.string() }),
});

const output = z.object({
  compliant: z.boolean(),
  findings: z.array(findingSchema),
  logins: z.object({ roles: z.number(), attempts: z.number(), opened: z.number() }),
  transport: z.object({ tls: z.boolean(), local: z.boolean(), passwordEncryption: z.string() }),
  integrity: z.object({
    bodies: z.number(),
    sizeBytes: z.number(),
    damagedBodies: z.number(),
    chainHead: z.string(),
  }),
  messages: z.object({
    /** Found in all bodies together, and how many bodies hold at least one. */
    counts: sensitiveCountsSchema,
    messagesWith: sensitiveCountsSchema,
  }),
});

export const validateSecurityCompliance = capability({
  description:
    "Checks grants, passwords, TLS and every body's hash; counts secrets in the messages",
  input,
  output,
  connections: 2,
  async run(ctx, { roles }) {
    ctx.heartbeat({ percent: 0, message: "grants and logins" });
    const departures = await auditGrants(ctx.sql, roles);
    const probe = await probeLogins(ctx.sql, ctx.signal);
    const transport = await readTransport(ctx);
    const scan = await scanBodies(ctx);
    const findings: Finding[] = [
      ...departures.map((detail): Finding => ({ severity: "high", area: "grants", detail })),
      ...probe.opened.map(
        (role): Finding => ({
          severity: "high",
          area: "logins",
          detail: `role "${role}" lets a trivial password in`,
        }),
      ),
      ...probe.unasked.map(
        (role): Finding => ({
          severity: "high",
          area: "logins",
          detail: `role "${role}" gets in without a password from this machine`,
        }),
      ),
      ...transportFindings(transport),
      ...scanFindings(scan),
    ];
    const { bodies, sizeBytes, damagedBodies, chainHead, counts, messagesWith } = scan;
    return {
      compliant: !findings.some((finding) => finding.severity === "high"),
      findings,
      logins: {
        roles: probe.roles,
        attempts: probe.attempts,
        opened: probe.opened.length + probe.unasked.length,
      },
      transport,
      integrity: { bodies, sizeBytes, damagedBodies, chainHead },
      messages: { counts, messagesWith },
    };
  },
});

type Transport = z.infer<typeof output>["transport"];

async function readTransport({ sql }: AgentContext): Promise<Transport> {
  const [state] = await sql<Transport[]>`
    select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as tls,
      coalesce(inet_client_addr() << '127.0.0.0/8'::inet or inet_client_addr() = '::1'::inet, true)
        as local,
      current_setting('password_encryption') as "passwordEncryption"`;
  if (state === undefined) throw new Error("Cannot read the transport: the server gave no row");
  return state;
}

function transportFindings({ tls, local, passwordEncryption }: Transport): Finding[] {
  const findings: Finding[] = [];
  if (!tls && !local) {
    const detail = "this connection crosses the network without TLS";
    findings.push({ severity: "high", area: "transport", detail });
  }
  if (!tls && local) {
    const detail = "no TLS, and none needed: the connection stays on this machine";
    findings.push({ severity: "info", area: "transport", detail });
  }
  if (passwordEncryption !== "scram-sha-256") {
    const detail = `new passwords are stored as ${passwordEncryption}`;
    findings.push({ severity: "medium", area: "logins", detail });
  }
  return findings;
}

function scanFindings({ damagedBodies, damaged, counts, messagesWith }: BodyScan): Finding[] {
  const findings: Finding[] = [];
  if (damagedBodies > 0) {
    const detail = `${damagedBodies} bodies differ from their recorded hash, as of ${damaged.join(", ")}`;
    findings.push({ severity: "high", area: "integrity", detail });
  }
  for (const kind of severeKinds) {
    if (counts[kind] === 0) continue;
    // Medium: the archive keeps what people wrote; who may read it is the grants' business.
    const detail = `${counts[kind]} of kind ${kind} in ${messagesWith[kind]} messages`;
    findings.push({ severity: "medium", area: "messages", detail });
  }
  return findings;
}
