// Buckets; see ../README.md.

import { Kvm } from "@nats-io/kv";
import { expect, expectEqual, expectError, numbers, PATIENCE_MS } from "./checks.mjs";

async function key_value(client) {
  const bucket = await new Kvm(client).create("js_kv");
  const first = await bucket.put("a", "one");
  expectEqual((await bucket.get("a")).string(), "one", "value");
  const second = await bucket.update("a", "two", first);
  expect(second > first, "the revision did not grow");
  await expectError(10071, bucket.update("a", "late", first));
  await bucket.create("b", "new");
  await expectError(10071, bucket.create("a", "new"));
  await bucket.delete("b");
  expectEqual((await bucket.get("b")).operation, "DEL", "operation");
  await bucket.create("b", "again");
  expectEqual((await bucket.get("b")).string(), "again", "value after the delete");
  await bucket.purge("b");
  expectEqual((await bucket.get("b")).operation, "PURGE", "operation");
  expectEqual(await bucket.get("never"), null, "a key that never was");
  const keys = [];
  for await (const key of await bucket.keys()) keys.push(key);
  expectEqual(keys, ["a"], "keys");
  expectEqual((await bucket.status()).values, 2, "values");
  await bucket.destroy();
  const gone = await new Kvm(client).open("js_kv").then((bucket) => bucket.get("a")).catch(() => null);
  expectEqual(gone, null, "a value of the destroyed bucket");
}

async function key_history(client) {
  const bucket = await new Kvm(client).create("js_history", { history: 5 });
  for (const text of numbers(0, 8)) await bucket.put("k", text);
  await bucket.put("other", "x");
  await bucket.delete("k");
  const entries = [];
  for await (const entry of await bucket.history({ key: "k" })) entries.push(entry);
  const shown = entries.map((entry) => entry.operation + entry.string());
  expectEqual(shown, ["PUT4", "PUT5", "PUT6", "PUT7", "DEL"], "history");
  expectEqual((await bucket.get("k", { revision: entries[0].revision })).string(), "4", "an old revision");
}

async function key_watch(client) {
  const bucket = await new Kvm(client).create("js_watch");
  await bucket.put("a.x", "1");
  await bucket.put("b.x", "2");
  const every = updates(await bucket.watch(), 4);
  const some = updates(await bucket.watch({ key: "a.*" }), 2);
  await bucket.put("b.x", "3");
  await bucket.put("a.y", "4");
  expectEqual(await every, ["a.x=1", "b.x=2", "b.x=3", "a.y=4"], "all");
  expectEqual(await some, ["a.x=1", "a.y=4"], "some");
}

async function updates(watch, count) {
  const got = [];
  const late = setTimeout(() => watch.stop(), PATIENCE_MS);
  for await (const entry of watch) {
    if (got.push(`${entry.key}=${entry.string()}`) === count) break;
  }
  clearTimeout(late);
  return got;
}

export const CHECKS = [key_value, key_history, key_watch];
