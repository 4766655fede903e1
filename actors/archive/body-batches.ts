/**
 * Walks over all bodies of the archive in batches that are bounded in rows and bytes.
 *
 * @module
 */

/** A body without its bytes. Ids are decimal strings, as postgres.js gives `bigint`. */
export interface BodyRef {
  readonly id: string;
  readonly sizeBytes: number;
}

/** Rows of one batch at most. */
export const batchRows = 500;
/** Bytes of one batch at most, unless a single body is larger. */
export const batchBytes = 8 * 1024 * 1024;

/** Splits in order. Every batch holds at least one body. */
export function* splitBySize(
  bodies: readonly BodyRef[],
  limits: { readonly rows: number; readonly bytes: number } = {
    rows: batchRows,
    bytes: batchBytes,
  },
): Generator<readonly BodyRef[]> {
  let batch: BodyRef[] = [];
  let bytes = 0;
  for (const body of bodies) {
    if (
      batch.length >= limits.rows ||
      (batch.length > 0 && bytes + body.sizeBytes > limits.bytes)
    ) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(body);
    bytes += body.sizeBytes;
  }
  if (batch.length > 0) yield batch;
}

/**
 * Every page that `nextPage` gives after an id, split into batches, until a page is empty.
 * The caller's page must be in ascending order of id.
 */
export async function* walkBodies(
  nextPage: (after: string) => Promise<readonly BodyRef[]>,
  after = "-1",
): AsyncGenerator<readonly BodyRef[]> {
  let cursor = after;
  for (;;) {
    const page = await nextPage(cursor);
    const last = page.at(-1);
    if (last === undefined) return;
    yield* splitBySize(page);
    cursor = last.id;
  }
}
