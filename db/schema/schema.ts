/**
 * The Postgres schema that holds SPECTRA's own tables, apart from the archive that it works on.
 *
 * @module
 */

import { pgSchema } from "drizzle-orm/pg-core";

export const spectraSchema = pgSchema("spectra");
