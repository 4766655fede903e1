/**
 * One actor: its figures, its statechart with the active states, and its last transitions.
 *
 * @module
 */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type {
  ActorView,
  InspectedTransition,
  Intensity,
  MachineState,
  MachineTransition,
  MachineView,
} from "../../../runtime/system.ts";
import { actorTree, findActor, inspection, machine } from "../actors-store.ts";
import { type ChartBox, layoutChart } from "../chart-layout.ts";
import { formatDuration } from "../format.ts";
import { go } from "../store.ts";
import { toneOf } from "./actors.tsx";

const MEGABYTE = 1_048_576;

export function ActorPanel(props: { address: string }): JSX.Element {
  const { address } = props;
  const actor = findActor(actorTree.value, address);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
  }, [address]);
  const close = (): void => {
    go({ actor: undefined });
    document.querySelector<HTMLElement>(`[data-address="${CSS.escape(address)}"] a`)?.focus();
  };
  return (
    <section
      class="card panel actor-panel"
      aria-labelledby="actor-heading"
      onKeyDown={(event) => {
        if (event.key === "Escape") close();
      }}
    >
      <div class="panel-head">
        <h2 id="actor-heading" ref={heading} tabIndex={-1}>
          {actor?.id ?? address.split("/").at(-1)}
        </h2>
        <button type="button" class="close" aria-label="Close actor details" onClick={close}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d="m3.5 3.5 9 9m0-9-9 9" />
          </svg>
        </button>
      </div>
      <p>
        <code class="soft">{address}</code>
      </p>
      {actor !== undefined && <Figures actor={actor} />}
      <Machine />
    </section>
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
      <dl class="actor-figures">
        {figures.map(([name, value]) =>
          value === undefined ? null : (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
      </dl>
      {actor.lastError !== undefined && <p class="actor-error">{actor.lastError.message}</p>}
    </>
  );
}

function Machine(): JSX.Element {
  const shown = machine.value;
  if (shown === undefined) return <p class="soft">Reading its statechart.</p>;
  if (shown === null) return <p class="soft">It is no statechart.</p>;
  return (
    <>
      <h3>Statechart {shown.machineId}</h3>
      <Chart root={shown.root} />
      <h3>Last transitions</h3>
      <Transitions view={shown} />
    </>
  );
}

function Chart({ root }: { root: MachineState }): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = frame.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const layout = useMemo(() => (width === 0 ? undefined : layoutChart(root, width)), [root, width]);
  return (
    <>
      {root.transitions.length > 0 && (
        <ul class="chart-always" aria-label="In every state">
          {root.transitions.map((transition, index) => (
            <Line key={index} transition={transition} />
          ))}
        </ul>
      )}
      <div class="chart" ref={frame}>
        {layout !== undefined && (
          <div class="chart-sheet" style={{ height: `${layout.height}px` }}>
            <svg width={layout.width} height={layout.height} aria-hidden="true">
              <defs>
                <marker
                  id="chart-arrow"
                  viewBox="0 0 8 8"
                  refX="6"
                  refY="4"
                  markerWidth="7"
                  markerHeight="7"
                  orient="auto"
                >
                  <path d="M0 .8 7 4 0 7.2Z" />
                </marker>
              </defs>
              {layout.arcs.map((arc) => (
                <path
                  key={arc.key}
                  d={arc.path}
                  class={arc.isBack ? "back" : ""}
                  marker-end="url(#chart-arrow)"
                />
              ))}
            </svg>
            {layout.boxes.map((box) => (
              <Box key={box.state.id} box={box} />
            ))}
          </div>
        )}
      </div>
    </>
  );
}

function Box({ box }: { box: ChartBox }): JSX.Element {
  const { state, lines, more } = box;
  const doing = [...state.invokes.map(({ src }) => src), ...state.entry];
  return (
    <div
      class={`chart-state ${state.type}${state.active ? " active" : ""}`}
      role="group"
      aria-label={`State ${state.key}${state.active ? ", active" : ""}`}
      style={{
        left: `${box.x}px`,
        top: `${box.y}px`,
        width: `${box.width}px`,
        height: `${box.height}px`,
      }}
    >
      <p>
        <strong>{state.key}</strong>
        {state.active && <em>active</em>}
        {doing.length > 0 && <small class="soft">{doing.join(", ")}</small>}
      </p>
      <ul>
        {lines.map((transition, index) => (
          <Line key={index} transition={transition} />
        ))}
        {more > 0 && <li class="soft">{more} more</li>}
      </ul>
    </div>
  );
}

function Line({ transition }: { transition: MachineTransition }): JSX.Element {
  const { event, guard, targets, actions } = transition;
  const to = targets.map((id) => id.split(".").at(-1)).join(", ");
  const text = `${event}${guard === undefined ? "" : ` [${guard}]`}${to === "" ? "" : ` → ${to}`}`;
  return <li title={actions.length === 0 ? text : `${text} / ${actions.join(", ")}`}>{text}</li>;
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
