/**
 * The HTTP application: guards, routes, problems. It knows the system by its facade only, and no socket.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import type { System } from "../runtime/system.ts";
import { RequestError } from "../runtime/system.ts";
import { checkCaller, checkToken, isSameToken, SECURITY_HEADERS, TOKEN_COOKIE } from "./guard.ts";
import type { HttpLog } from "./http-log.ts";
import { createLiveClients, type LiveClients } from "./live/clients.ts";
import { ProblemError, problemFrom, problemOf, problemResponse } from "./problem.ts";
import type { Route } from "./route.ts";
import { actorRoutes } from "./routes/actors.ts";
import { agentRoutes } from "./routes/agents.ts";
import { isApprovalPath, mountApprovalPage } from "./routes/approval-page.ts";
import { bulkRoutes } from "./routes/bulk.ts";
import { mountDashboard } from "./routes/dashboard.ts";
import { eventRoutes } from "./routes/events.ts";
import { healthRoutes } from "./routes/health.ts";
import { historyRoutes } from "./routes/history.ts";
import { limitRoutes } from "./routes/limits.ts";
import { planRoutes } from "./routes/plans.ts";
import { mountReference } from "./routes/reference.ts";
import { scheduleRoutes } from "./routes/schedules.ts";
import { systemRoutes } from "./routes/system.ts";
import { workflowControlRoutes } from "./routes/workflow-controls.ts";
import { workflowRoutes } from "./routes/workflows.ts";

export interface AppOptions {
  readonly system: System;
  readonly log: HttpLog;
  /** When given, everything but the probes asks for it: as bearer, or as the cookie that `/?token=` sets. */
  readonly token?: string;
  /** Clients of the live stream; the server passes the one that its WebSocket uses too. */
  readonly live?: LiveClients;
  /** Built dashboard. Default: where the build puts it. */
  readonly dashboardFolder?: string;
}

/** All routes of the API, in the order of the reference page. */
export function apiRoutes(system: System, live: LiveClients): readonly Route[] {
  return [
    ...systemRoutes(system),
    ...agentRoutes(system),
    ...actorRoutes(system),
    ...workflowRoutes(system),
    ...workflowControlRoutes(system),
    ...bulkRoutes(system),
    ...planRoutes(system),
    ...historyRoutes(system),
    ...scheduleRoutes(system),
    ...limitRoutes(system),
    ...eventRoutes(live),
    ...healthRoutes(system, live),
  ];
}

export function createApp(options: AppOptions): Hono {
  const { system, log, token } = options;
  const live = options.live ?? createLiveClients(system, log);
  const app = new Hono();
  const routes = apiRoutes(system, live);

  app.use(async (context, next) => {
    checkCaller(context.req.raw);
    await next();
  });
  app.use(securityHeaders);
  if (token !== undefined) requireToken(app, token);
  for (const route of routes) {
    app.on(route.method, route.path, (context) => route.handle(context));
  }
  mountApprovalPage(app, system);
  mountReference(app, routes, async () => (await system.status()).version);
  mountDashboard(app, options.dashboardFolder);
  refuseOtherMethods(app);
  app.notFound((context) =>
    refuse(
      problemOf(
        "ROUTE_UNKNOWN",
        `Cannot find ${context.req.path}: see /docs`,
        [],
        context.req.path,
      ),
    ),
  );
  app.onError((error, context) => {
    if (!(error instanceof ProblemError) && !(error instanceof RequestError)) {
      const { method, path } = context.req;
      log.error("request failed", { method, path, error: error.stack ?? error.message });
    }
    const headers = error instanceof ProblemError ? error.headers : {};
    return refuse(problemFrom(error, context.req.path), headers);
  });
  return app;
}

function refuse(problem: Parameters<typeof problemResponse>[0], headers = {}): Response {
  return problemResponse(problem, { ...SECURITY_HEADERS, ...headers });
}

async function securityHeaders(context: Context, next: () => Promise<void>): Promise<void> {
  await next();
  // A page may have a policy of its own: that of approvals has a form.
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
    if (!context.res.headers.has(name)) context.header(name, value);
  }
  // State changes between two requests; only what says otherwise may be kept.
  if (!context.res.headers.has("cache-control")) context.header("cache-control", "no-store");
}

function requireToken(app: Hono, token: string): void {
  const open = new Set(["/healthz", "/readyz"]);
  app.use(async (context, next) => {
    const given = context.req.path === "/" ? context.req.query("token") : undefined;
    if (given !== undefined && isSameToken(given, token)) {
      // Out of the address bar and the history at once.
      return context.body(null, 303, {
        location: "/",
        "set-cookie": `${TOKEN_COOKIE}=${encodeURIComponent(token)}; HttpOnly; SameSite=Strict; Path=/`,
      });
    }
    const { path } = context.req;
    // Whoever has an approval's token may decide it, and nothing else.
    if (!open.has(path) && !isApprovalPath(path)) checkToken(context.req.raw, token);
    return next();
  });
}

/** Answers 405 with `Allow` on paths that exist with another method. Must run after all routes are there. */
function refuseOtherMethods(app: Hono): void {
  const methods = new Map<string, Set<string>>();
  for (const { method, path } of app.routes) {
    if (method === "ALL") continue;
    methods.set(path, (methods.get(path) ?? new Set()).add(method));
  }
  for (const [path, known] of methods) {
    const allow = [...known, ...(known.has("GET") ? ["HEAD"] : [])].join(", ");
    app.all(path, (context) => {
      throw new ProblemError(
        "METHOD_NOT_ALLOWED",
        `Cannot ${context.req.method} ${context.req.path}: ${allow} is allowed`,
        { headers: { allow } },
      );
    });
  }
}
