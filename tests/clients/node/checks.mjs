// What all checks share.

export const PATIENCE_MS = 10_000;

export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

export function expectEqual(got, wanted, message) {
  expect(JSON.stringify(got) === JSON.stringify(wanted), `${message}: ${JSON.stringify(got)?.slice(0, 200)}`);
}

/** The call is refused, with this `err_code` if there is one. */
export async function expectError(wanted, call) {
  const problem = await call.then(() => null, (problem) => problem);
  expect(problem, `was not refused with ${wanted}`);
  expectEqual(problem.code, wanted, `refused otherwise (${problem})`);
}

export const numbers = (from, to) => Array.from({ length: to - from }, (_, place) => String(from + place));

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** The next items of an iterator, which then ends. */
export async function take(iterator, count) {
  const items = [];
  const late = setTimeout(() => iterator.stop(), PATIENCE_MS);
  for await (const item of iterator) {
    if (items.push(item) === count) break;
  }
  clearTimeout(late);
  expect(items.length === count, `got ${items.length} of ${count}`);
  return items;
}
