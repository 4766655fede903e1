/**
 * Actors: the live tree, their statecharts, what went wrong with them, and how closely they are watched.
 *
 * @module
 */

import type { Context } from "hono";
import { z } from "zod";
import {
  type ActorView,
  type DeadLetterView,
  RequestError,
  type System,
} from "../../runtime/system.ts";
import {
  actorView,
  deadLetterView,
  incidentView,
  inspectionStatus,
  machineAnswer,
} from "../actor-schemas.ts";
import { API_ACTOR, answers, defineRoute, type Route } from "../route.ts";
import { pageOf } from "../schemas.ts";

const ADDRESS = {
  address: "Address of the actor: /root/agents/DIRECTOR, URL-encoded or as it is",
};
const MACHINE = "/machine";
const pageQuery = {
  cursor: z.string().max(100).optional().describe("nextCursor of the page before"),
  limit: z.coerce.number().int().min(1).max(200).default(50),
};
const incidentQuery = z.strictObject({
  ...pageQuery,
  address: z.string().max(1_000).optional().describe("Only of this actor"),
});
const letterQuery = z.strictObject({
  ...pageQuery,
  target: z.string().max(1_000).optional().describe("Only to this address"),
});
const inspectionBody = z.strictObject({
  mode: z.enum(["off", "sampled", "lossless"]),
  actor: z.string().max(1_000).optional().describe("Address; without it, all actors"),
});

/** `root/agents/DIRECTOR`, as a path has it, gets its first slash back. */
function toAddress(param: string): string {
  return param.startsWith("/") ? param : `/${param}`;
}

function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, V>);
}

/** Where the statechart of an actor is; none for one without. */
function chartLink({ address, machineId }: ActorView) {
  if (machineId === undefined) return [];
  const href = `/api/v1/actors/${encodeURIComponent(address)}/machine`;
  return [{ address, machineId, href }];
}

export function actorRoutes(system: System): readonly Route[] {
  return [...treeRoutes(system), ...troubleRoutes(system), ...inspectionRoutes(system)];
}

function treeRoutes({ actors }: System): Route[] {
  const showMachine = async (context: Context, address: string): Promise<Response> => {
    const [machine, actor] = [await actors.machine(address), await actors.get(address)];
    const links = (actor?.children ?? []).flatMap(chartLink);
    if (machine !== undefined) return context.json({ ...machine, links });
    const why =
      actor === undefined
        ? "there is no such actor, GET /api/v1/actors has all"
        : `it follows none; ${links.length === 0 ? "its supervisor does" : `those below it do: ${links.map((link) => link.address).join(", ")}`}`;
    throw new RequestError("NOT_FOUND", `Cannot show the statechart of "${address}": ${why}`);
  };
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/actors",
      tag: "Actors",
      summary: "All actors of this node, as the tree that they are",
      description:
        "Supervisors and their children with strategy, restarts and health; agents and their threads; " +
        "running workflows with the tasks in hand. A figure that nothing measures is absent.",
      responses: [answers(200, "The root", actorView)],
      handle: async ({ context }) => context.json(await actors.tree()),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/actors/:address/machine",
      tag: "Actors",
      summary: "The statechart of an actor",
      description:
        "States, transitions and the names of guards and actions, with the active states marked, and the " +
        "definition as Stately's tools read it. An agent's own address has its supervisor; links name the charts below: " +
        "/root/agents/NAME/lifecycle and /root/agents/NAME/thread. Runs and tasks have one too, also when they " +
        "have ended: /root/workflows/RUN/TASK.",
      parameters: ADDRESS,
      responses: [answers(200, "The statechart", machineAnswer)],
      problems: ["NOT_FOUND"],
      handle: ({ context, param }) => showMachine(context, toAddress(param("address"))),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/actors/:address{.+}",
      tag: "Actors",
      summary: "One actor and all below it",
      parameters: ADDRESS,
      responses: [answers(200, "The actor", actorView)],
      problems: ["NOT_FOUND"],
      handle: async ({ context, param }) => {
        const address = toAddress(param("address"));
        const actor = await actors.get(address);
        if (actor !== undefined) return context.json(actor);
        // The router gives all of an address that is not encoded to this route.
        if (address.endsWith(MACHINE)) {
          return await showMachine(context, address.slice(0, -MACHINE.length));
        }
        throw new RequestError(
          "NOT_FOUND",
          `Cannot find actor "${address}": GET /api/v1/actors has all`,
        );
      },
    }),
  ];
}

function troubleRoutes({ actors }: System): Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/incidents",
      tag: "Actors",
      summary: "What went wrong with actors, and what was done about it; newest first",
      query: incidentQuery,
      responses: [answers(200, "A page of incidents", pageOf(incidentView))],
      handle: async ({ context, query: { limit, cursor, address } }) =>
        context.json(
          await actors.incidents({
            limit,
            ...optional("cursor", cursor),
            ...optional("address", address),
          }),
        ),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/dead-letters",
      tag: "Actors",
      summary: "Events that reached nobody, with the reason; newest first",
      query: letterQuery,
      responses: [answers(200, "A page of dead letters", pageOf(deadLetterView))],
      handle: async ({ context, query: { limit, cursor, target } }) =>
        context.json(
          await actors.deadLetters({
            limit,
            ...optional("cursor", cursor),
            ...optional("target", target),
          }),
        ),
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/dead-letters/:id/replay",
      tag: "Actors",
      summary: "Sends a dead letter again, and forgets it",
      parameters: { id: "Number of the dead letter" },
      responses: [answers(200, "The letter that was sent", deadLetterView)],
      problems: ["NOT_FOUND", "CONFLICT"],
      handle: async ({ context, param }) => {
        const id = param("id");
        if (!/^\d{1,15}$/.test(id)) {
          throw new RequestError("NOT_FOUND", `Cannot find dead letter "${id}": ids are numbers`);
        }
        const letter: DeadLetterView = await actors.replayDeadLetter(Number(id), {
          actor: API_ACTOR,
        });
        return context.json(letter);
      },
    }),
  ];
}

function inspectionRoutes({ actors }: System): Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/inspection",
      tag: "Actors",
      summary: "How closely actors are watched",
      responses: [answers(200, "The modes and counters", inspectionStatus)],
      handle: ({ context }) => context.json(actors.inspection()),
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/inspection",
      tag: "Actors",
      summary: "Watches all actors, or one and those below it, more or less closely",
      description:
        "Transitions then come over the live stream, topics inspect and actor:ADDRESS. sampled costs next " +
        "to nothing; lossless tells every event. Without actor, the modes of single actors are forgotten.",
      body: inspectionBody,
      responses: [answers(200, "The modes and counters afterwards", inspectionStatus)],
      problems: ["NOT_FOUND"],
      handle: ({ context, body: { mode, actor } }) =>
        context.json(actors.inspect(mode, actor, { actor: API_ACTOR })),
    }),
  ];
}
