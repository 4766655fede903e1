/**
 * One actor: its figures, its statechart with the active states, and its last transitions.
 *
 * @module
 */

import type { JSX } from "preact";
import type {
  ActorView,
  InspectedTransition,
  Intensity,
  MachineView,
} from "../../../runtime/system.ts";
import { actorTree, findActor, inspection, machine } from "../actors-store.ts";
import { formatDuration } from "../format.ts";
import { go } from "../store.ts";
import { toneOf } from "./actors.tsx";
import { Chart } from "./chart.tsx";
import { Pairs, Panel } from "./panel.tsx";
import { PlaceLink } from "./place-link.tsx";

const MEGABYTE = 1_048_576;

export function ActorPanel(props: { address: string }): JSX.Element {
  const { address } = props;
  const actor = findActor(actorTree.value, address);
  const close = (): void => {
    go({ actor: undefined });
    document.querySelector<HTMLElement>(`[data-address="${CSS.escape(address)}"] a`)?.focus();
  };
  return (
    <Panel
      title={actor?.id ?? address.split("/").at(-1) ?? address}
      about="actor"
      subject={address}
      onClose={close}
    >
      <p>
        <code class="soft">{address}</code>
      </p>
      {actor !== undefined && <Figures actor={actor} />}
      <Machine address={address} actor={actor} />
    </Panel>
  );
}

function limitOf({ maxRestarts, periodMs }: Intensity): string {
  return `${maxRestarts} in ${formatDuration(periodMs)}`;
}

function megabytes(bytes: number | undefined): string | undefined {
  return bytes === undefined ? undefined : `${Math.round(bytes / MEGABYTE)} MB`;
}

function Figures({ actor }: { actor: ActorView }): JSX.Element {
  const figures: [string, string | number | undefined][] = [
    ["Kind", actor.kind],
    ["Strategy", actor.strategy],
    ["Restart", actor.restart],
    ["Significant", actor.significant === true ? "yes" : undefined],
    ["Ends with children", actor.autoShutdown === "never" ? undefined : actor.autoShutdown],
    ["Restarts", actor.restarts],
    ["Restart limit", actor.intensity === undefined ? undefined : limitOf(actor.intensity)],
    ["Incarnation", actor.incarnation],
    ["Health", actor.health],
    ["Mailbox", actor.mailbox],
    ["Timers", actor.timers],
    [actor.kind === "remote" ? "Worker" : "Thread", actor.threadId],
    ["CPU", actor.cpuMs === undefined ? undefined : formatDuration(actor.cpuMs)],
    ["Heap", megabytes(actor.heapBytes)],
    ["Buffers", megabytes(actor.bufferBytes)],
    ["Loop delay", actor.lagMs === undefined ? undefined : `${Math.round(actor.lagMs)} ms`],
  ];
  return (
    <>
      <p class={`actor-state ${toneOf(actor)}`}>
        <i aria-hidden="true" />
        {actor.status}
      </p>
      <Pairs class="actor-figures" rows={figures} />
      {actor.lastError !== undefined && <p class="actor-error">{actor.lastError.message}</p>}
    </>
  );
}

function Machine(props: { address: string; actor: ActorView | undefined }): JSX.Element {
  const { address, actor } = props;
  const shown = machine.value;
  if (shown === undefined) return <p class="soft">Reading its statechart.</p>;
  return (
    <>
      {actor === undefined && <Gone address={address} status={shown?.status} />}
      <ChartsBelow actor={actor} />
      {shown !== null && (
        <>
          <h3>Statechart {shown.machineId}</h3>
          <Chart root={shown.root} />
        </>
      )}
      {shown === null && actor !== undefined && (
        <p class="soft">
          It follows no statechart of its own. What restarts it is its supervisor,{" "}
          <PlaceLink to={{ actor: parentOf(address) }}>{parentOf(address)}</PlaceLink>.
        </p>
      )}
      {shown !== null && actor !== undefined && (
        <>
          <h3>Last transitions</h3>
          <Transitions view={shown} />
        </>
      )}
    </>
  );
}

function parentOf(address: string): string {
  return address.slice(0, address.lastIndexOf("/"));
}

/** A run that has ended is no actor any more; its statechart is still known. */
function Gone(props: { address: string; status: string | undefined }): JSX.Element {
  const { address, status } = props;
  const run = /^\/root\/workflows\/([^/]+)/.exec(address)?.[1];
  if (run === undefined || status === undefined) {
    return (
      <p class="soft">
        There is no such actor now: it has ended, or its address has a slip. The tree shows all that
        live.
      </p>
    );
  }
  const what = address.endsWith(run) ? "workflow run" : "task of a workflow run";
  return (
    <>
      <p class="soft">
        This is a {what}. It is <strong>{status}</strong>, and no actor carries it now; its
        statechart shows where it stands.
      </p>
      <p>
        <PlaceLink to={{ workflow: run, actor: undefined, task: undefined }}>
          Show the run and its tasks
        </PlaceLink>
      </p>
    </>
  );
}

/** An agent is a supervisor; what people look for are its lifecycle and its thread. */
function ChartsBelow({ actor }: { actor: ActorView | undefined }): JSX.Element | null {
  const charts = (actor?.children ?? []).filter(({ machineId }) => machineId !== undefined);
  if (charts.length === 0) return null;
  return (
    <>
      <h3>Statecharts below</h3>
      <ul class="charts-below">
        {charts.map(({ address, id, kind, machineId }) => (
          <li key={address}>
            <PlaceLink to={{ actor: address, task: undefined }} title={address}>
              {kind === "agent" ? "lifecycle" : id}
            </PlaceLink>{" "}
            <span class="soft">{machineId}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function Transitions({ view }: { view: MachineView }): JSX.Element {
  if (view.transitions.length === 0) {
    const isOff = inspection.value?.mode === "off";
    return (
      <p class="soft">
        {isOff ? "Inspection is off: switch it on to see them." : "None since it is inspected."}
      </p>
    );
  }
  return (
    <ol class="transitions">
      {[...view.transitions].reverse().map((one) => (
        <Transition key={`${one.session} ${one.seq}`} one={one} />
      ))}
    </ol>
  );
}

function Transition({ one }: { one: InspectedTransition }): JSX.Element {
  const { type } = (one.event ?? {}) as { type?: string };
  const [from, to] = [one.from, one.to].map((value) =>
    typeof value === "string" ? value : JSON.stringify(value),
  );
  return (
    <li title={JSON.stringify(one.event)}>
      <time dateTime={one.at}>{one.at.slice(11, 23)}</time>
      <strong>{type ?? "?"}</strong>
      <span class="soft">{from === to ? `stays ${to}` : `${from} → ${to}`}</span>
    </li>
  );
}
