/**
 * Starts the dashboard.
 *
 * @module
 */

import { render } from "preact";
import { startActors } from "./actors-store.ts";
import { Page } from "./parts/page.tsx";
import { startRunState } from "./run-state-store.ts";
import { startSchedules } from "./schedules-store.ts";
import { startKnownWorkflows } from "./start-store.ts";
import { startStore } from "./store.ts";

const root = document.getElementById("app");
if (root === null) throw new Error("Cannot show the dashboard: the page has no element #app");
startStore();
startRunState();
startActors();
startKnownWorkflows();
startSchedules();
render(<Page />, root);
