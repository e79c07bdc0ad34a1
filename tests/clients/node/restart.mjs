// What is stored outlives a restart; see ../README.md.

import { nanos } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { expect, expectEqual, expectError, PATIENCE_MS, take } from "./checks.mjs";

const COUNT = 500;
const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

const payload = (number) => Buffer.concat([Buffer.from(`${number}:`), ...Array(number % 5).fill(EVERY_BYTE)]);

/** Stores what `verify` looks for; all of it is acknowledged when this returns. */
export async function store(client) {
  const js = jetstream(client);
  const jsm = await js.jetstreamManager();
  await jsm.streams.add({ name: "js_kept", subjects: ["js_kept.>"] });
  await jsm.streams.add({ name: "js_gone", subjects: ["js_gone.>"], storage: "memory" });
  for (let number = 0; number < COUNT; number++) {
    await js.publish(`js_kept.${number % 7}`, payload(number), { msgID: `id-${number}` });
    await js.publish("js_gone.x", payload(number));
  }
  await jsm.streams.deleteMessage("js_kept", 11);
  await jsm.consumers.add("js_kept", { durable_name: "half", ack_policy: "explicit", ack_wait: nanos(60_000) });
  const half = await js.consumers.get("js_kept", "half");
  for await (const message of await half.fetch({ max_messages: 200, expires: PATIENCE_MS })) {
    await message.ackAck({ timeout: PATIENCE_MS });
  }
  const bucket = await new Kvm(client).create("js_kept", { history: 3 });
  for (let number = 0; number < 100; number++) await bucket.put(`k${number % 10}`, String(number));
  await bucket.delete("k0");
}

/** What `store` stored is there, and nothing else. */
export async function verify(client) {
  const js = jetstream(client);
  const jsm = await js.jetstreamManager();
  const { state } = await jsm.streams.info("js_kept");
  expectEqual([state.messages, state.first_seq, state.last_seq], [COUNT - 1, 1, COUNT], "state");
  const again = await js.publish("js_kept.0", "", { msgID: `id-${COUNT - 1}` });
  expectEqual([again.seq, again.duplicate], [COUNT, true], "a message that was published before");
  expectEqual(await jsm.streams.getMessage("js_kept", { seq: 11 }), null, "a deleted message");
  const reader = await js.consumers.get("js_kept");
  for (const message of await take(await reader.consume(), COUNT - 1)) {
    expect(payload(message.seq - 1).equals(message.data), `message ${message.seq} is another`);
  }
  const half = await js.consumers.get("js_kept", "half");
  const info = await half.info();
  expectEqual([info.ack_floor.stream_seq, info.num_pending], [201, COUNT - 201], "consumer");
  const next = await half.next({ expires: PATIENCE_MS });
  expect(payload(201).equals(next.data), "the consumer's next message is another");
  const bucket = await new Kvm(client).open("js_kept");
  const keys = [];
  for await (const key of await bucket.keys()) keys.push(key);
  expectEqual(keys.sort(), Array.from({ length: 9 }, (_, place) => `k${place + 1}`), "keys");
  const history = [];
  for await (const entry of await bucket.history({ key: "k3" })) history.push(entry.string());
  expectEqual(history, ["73", "83", "93"], "history");
  await expectError(10059, jsm.streams.info("js_gone"));
}
