/**
 * The supervision tree as it is now, and what went wrong in it.
 *
 * @module
 */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type { ActorView, IncidentView, InspectionMode } from "../../../runtime/system.ts";
import { actorTree, incidents, inspection, setInspection } from "../actors-store.ts";
import { formatDateTime } from "../format.ts";
import { actionText, kindText } from "../incident-kinds.ts";
import { place } from "../store.ts";
import { PlaceLink } from "./place-link.tsx";

/** Addresses that are shown open or closed against the default: the first two levels are open. */
const turned = signal<ReadonlySet<string>>(new Set());
const OPEN_LEVELS = 1;

const MODES: readonly InspectionMode[] = ["off", "sampled", "lossless"];

export function Actors(): JSX.Element | null {
  const tree = actorTree.value;
  if (tree === null) return null;
  const rows = visible(tree, 0);
  return (
    <section class="block" aria-labelledby="actors-title">
      <div class="block-head">
        <h2 id="actors-title">Actors</h2>
        <Inspection />
      </div>
      <div class="card table actors">
        <table>
          <thead>
            <tr>
              <th scope="col">Actor</th>
              <th scope="col">Status</th>
              <th scope="col">Health</th>
              <th scope="col">Restarts</th>
              <th scope="col">Mailbox</th>
              <th scope="col">Incarnation</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row key={row.actor.address} {...row} />
            ))}
          </tbody>
        </table>
      </div>
      <Incidents />
    </section>
  );
}

interface TreeRow {
  readonly actor: ActorView;
  readonly level: number;
  readonly isOpen: boolean;
}

function visible(actor: ActorView, level: number): TreeRow[] {
  const isOpen = level <= OPEN_LEVELS !== turned.value.has(actor.address);
  const below = isOpen ? actor.children.flatMap((child) => visible(child, level + 1)) : [];
  return [{ actor, level, isOpen }, ...below];
}

function turn(address: string): void {
  const next = new Set(turned.value);
  if (!next.delete(address)) next.add(address);
  turned.value = next;
}

function Row({ actor, level, isOpen }: TreeRow): JSX.Element {
  const { address, children, id, kind, strategy } = actor;
  const isShown = place.value.actor === address;
  return (
    <tr aria-current={isShown ? "true" : undefined} data-address={address}>
      <td>
        <span class="branch" style={{ paddingInlineStart: `${level * 18}px` }}>
          {children.length > 0 ? (
            <button
              type="button"
              class="twist"
              aria-expanded={isOpen}
              aria-label={`What is below ${id}`}
              onClick={() => turn(address)}
            />
          ) : (
            <i class="leaf" aria-hidden="true" />
          )}
          <PlaceLink
            to={{ actor: address, task: undefined }}
            press={{ actor: isShown ? undefined : address, task: undefined }}
            title={address}
          >
            {id}
          </PlaceLink>
          <small class="soft">{strategy ?? kind}</small>
        </span>
      </td>
      <td>
        <span class={`actor-state ${toneOf(actor)}`}>
          <i aria-hidden="true" />
          {actor.status}
        </span>
      </td>
      <td>{actor.health ?? "–"}</td>
      <td class={actor.restarts > 0 ? "noted" : ""}>{actor.restarts}</td>
      <td>{actor.mailbox ?? "–"}</td>
      <td>{actor.incarnation ?? "–"}</td>
    </tr>
  );
}

export function toneOf({ status, health }: ActorView): string {
  if (status === "failed" || status === "error" || health === "unhealthy") return "bad";
  if (["running", "active", "succeeded", "completed"].includes(status)) return "good";
  return ["ended", "stopped", "done", "cancelled"].includes(status) ? "idle" : "warn";
}

function Inspection(): JSX.Element | null {
  const now = inspection.value;
  if (now === null) return null;
  return (
    <div class="inspection">
      <span
        class="soft"
        title={`${now.frames} frames of ${now.threads} threads, ${now.dropped} dropped`}
      >
        Inspection
      </span>
      <div class="switch" role="group" aria-label="Inspection">
        {MODES.map((mode) => (
          <button
            key={mode}
            type="button"
            aria-pressed={now.mode === mode}
            onClick={() => void setInspection(mode)}
          >
            {mode.charAt(0).toUpperCase() + mode.slice(1)}
          </button>
        ))}
      </div>
    </div>
  );
}

function Incidents(): JSX.Element {
  const list = incidents.value;
  if (list.length === 0) {
    return (
      <p class="soft incidents-none">
        No incidents: no actor has crashed, hung or run out of memory. What goes wrong is listed
        here, with what the supervisors did about it.
      </p>
    );
  }
  const kinds = [...new Set(list.map(({ kind }) => kind))];
  return (
    <details class="card incidents" open>
      <summary>
        <h3>Incidents</h3>
        <span class="soft">The newest {list.length}</span>
      </summary>
      <ol>
        {list.map((incident) => (
          <Incident key={incident.id} incident={incident} />
        ))}
      </ol>
      <dl class="incident-kinds" aria-label="What the kinds mean">
        {kinds.map((kind) => {
          const text = kindText(kind);
          return text === undefined ? null : (
            <div key={kind}>
              <dt>{kind}</dt>
              <dd>{text}</dd>
            </div>
          );
        })}
      </dl>
    </details>
  );
}

function Incident(props: { incident: IncidentView }): JSX.Element {
  const { at, address, kind, action, error } = props.incident;
  return (
    <li>
      <time dateTime={at}>{formatDateTime(at)}</time>
      <strong title={kindText(kind)}>{kind}</strong>
      <PlaceLink to={{ actor: address, task: undefined }} title={address}>
        <code>{address}</code>
      </PlaceLink>
      <span class="soft">
        {actionText(action)}
        {error !== null && `: ${error.message}`}
      </span>
    </li>
  );
}
