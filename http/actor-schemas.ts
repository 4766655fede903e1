/**
 * The views of actors as schemas; the `satisfies` at the end compares them with the interfaces.
 *
 * @module
 */

import { z } from "zod";
import type {
  ActorView,
  DeadLetterView,
  IncidentView,
  InspectedTransition,
  InspectionStatus,
  MachineView,
} from "../runtime/system.ts";
import { autoShutdown, errorRecord, type Fits, intensity, json, time } from "./schemas.ts";

/** Recursive by nature; the document shows one level, the interface `ActorView` has the rest. */
export const actorView = z.object({
  address: z.string().describe("Path from the root: /root/agents/DIRECTOR"),
  id: z.string(),
  kind: z.enum(["supervisor", "worker", "agent", "thread", "workflow", "task", "actor", "remote"]),
  strategy: z.enum(["one_for_one", "one_for_all", "rest_for_one"]).optional(),
  intensity: intensity.optional(),
  autoShutdown: autoShutdown.optional(),
  restart: z.enum(["permanent", "transient", "temporary"]).optional(),
  significant: z.boolean().optional().describe("Its end counts for its supervisor's autoShutdown"),
  status: z.string(),
  health: z.enum(["healthy", "unhealthy", "unknown"]).optional(),
  restarts: z.int(),
  incarnation: z.int().optional(),
  mailbox: z.int().optional().describe("Messages that wait for it"),
  timers: z.int().optional().describe("Delayed events of a durable actor that are stored"),
  threadId: z.int().optional().describe("Or process id"),
  cpuMs: z.number().optional().describe("CPU time so far"),
  heapBytes: z.number().optional(),
  bufferBytes: z.number().optional().describe("Outside of the heap"),
  lagMs: z.number().optional().describe("Newest delay of its event loop"),
  machineId: z.string().optional().describe("Id of its statechart"),
  lastError: errorRecord.optional(),
  children: z.array(json),
});

const transition = z.object({
  address: z.string(),
  session: z.string().describe("Unique over threads and their incarnations"),
  seq: z.int().describe("Per session; a hole means frames that are missing"),
  at: time,
  event: json,
  from: json,
  to: json,
  status: z.string(),
  actions: z.array(z.string()),
  microsteps: z.array(z.string()),
  source: z.string().optional(),
});

/** Recursive by nature, as `actorView`. */
const machineState = z.object({
  id: z.string(),
  key: z.string(),
  type: z.enum(["atomic", "compound", "parallel", "final", "history"]),
  initial: z.string().optional(),
  active: z.boolean(),
  entry: z.array(z.string()),
  exit: z.array(z.string()),
  invokes: z.array(z.object({ id: z.string(), src: z.string() })),
  transitions: z.array(
    z.object({
      event: z.string(),
      targets: z.array(z.string()),
      guard: z.string().optional(),
      actions: z.array(z.string()),
    }),
  ),
  states: z.array(json),
});

export const machineView = z.object({
  address: z.string(),
  machineId: z.string(),
  value: json.describe(
    "State value as XState writes it; null where the actor's thread does not tell",
  ),
  status: z.string(),
  root: machineState,
  definition: json.describe("The machine's config, as Stately's tools read it"),
  transitions: z.array(transition).describe("The newest that were inspected, oldest first"),
});

/** What the route answers: the view, and where to go from there. */
export const machineAnswer = machineView.extend({
  links: z
    .array(z.object({ address: z.string(), machineId: z.string(), href: z.string() }))
    .describe("The statecharts of the actors directly below: an agent's lifecycle and thread"),
});

const mode = z.enum(["off", "sampled", "lossless"]);

export const inspectionStatus = z.object({
  mode,
  actors: z.record(z.string(), mode).describe("Actors whose mode differs, by address"),
  threads: z.int(),
  frames: z.int(),
  dropped: z.int().describe("Frames that no buffer had room for"),
  bridge: z.string().nullable().describe("Where a receiver of Stately's protocol connects"),
});

export const incidentView = z.object({
  id: z.int(),
  at: time,
  node: z.string(),
  address: z.string(),
  incarnation: z.int(),
  kind: z.string(),
  action: z.string(),
  error: errorRecord.nullable(),
  detail: json,
});

export const deadLetterView = z.object({
  id: z.int(),
  at: time,
  node: z.string(),
  sender: z.string().nullable(),
  target: z.string(),
  reason: z.string(),
  event: json,
});

void ([true, true, true, true, true, true] satisfies [
  Fits<ActorView, typeof actorView>,
  Fits<MachineView, typeof machineView>,
  Fits<InspectedTransition, typeof transition>,
  Fits<InspectionStatus, typeof inspectionStatus>,
  Fits<IncidentView, typeof incidentView>,
  Fits<DeadLetterView, typeof deadLetterView>,
]);
