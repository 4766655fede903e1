/**
 * Calls that come while one is under way share the next one: many small statements become few.
 *
 * @module
 */

/**
 * One call at a time, in order; what comes meanwhile waits for the next one.
 *
 * @param limit Of one call.
 * @param call Answers each of its arguments, in their order; a rejection is everybody's.
 */
export function createBatches<A, B>(
  limit: number,
  call: (all: readonly A[]) => Promise<readonly B[]>,
): (one: A) => Promise<B> {
  interface Waiting {
    readonly one: A;
    resolve(answer: B): void;
    reject(error: unknown): void;
  }
  const waiting: Waiting[] = [];
  let isUnderWay = false;

  async function work(): Promise<void> {
    isUnderWay = true;
    while (waiting.length > 0) {
      const batch = waiting.splice(0, limit);
      try {
        const answers = await call(batch.map(({ one }) => one));
        for (const [at, { resolve }] of batch.entries()) resolve(answers[at] as B);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isUnderWay = false;
  }

  return (one) =>
    new Promise((resolve, reject) => {
      waiting.push({ one, resolve, reject });
      if (!isUnderWay) void work();
    });
}
