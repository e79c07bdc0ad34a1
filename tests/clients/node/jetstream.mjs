// Streams and consumers; see ../README.md. Each check has a stream of its own, named after it.

import { headers as newHeaders, nanos, nuid } from "@nats-io/transport-node";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { expect, expectEqual, expectError, numbers, PATIENCE_MS, sleep, take } from "./checks.mjs";

const strings = (messages) => messages.map((message) => message.string());

/** A stream with messages `0`, `1`, ... that are acknowledged. */
async function fill(client, name, count) {
  const js = jetstream(client);
  const jsm = await js.jetstreamManager();
  await jsm.streams.add({ name, subjects: [`${name}.>`] });
  for (let number = 0; number < count; number++) {
    expectEqual((await js.publish(`${name}.n`, String(number))).seq, number + 1, "sequence");
  }
  return { js, jsm };
}

/** What comes within the time, at most so many messages. */
async function fetch(consumer, count, milliseconds = PATIENCE_MS) {
  const messages = [];
  for await (const message of await consumer.fetch({ max_messages: count, expires: milliseconds })) messages.push(message);
  return messages;
}

async function streams(client) {
  const js = jetstream(client);
  const jsm = await js.jetstreamManager();
  const made = await jsm.streams.add({ name: "js_streams", subjects: ["js_streams.*"], description: "first", max_msgs: 100 });
  expectEqual(made.config.max_msgs, 100, "max_msgs");
  for (const subject of ["a", "b", "a", "c"]) await js.publish(`js_streams.${subject}`, "x");
  const changed = await jsm.streams.update("js_streams", { description: "second" });
  expectEqual(changed.config.description, "second", "description");
  let { state } = await jsm.streams.info("js_streams", { subjects_filter: ">" });
  expectEqual([state.messages, state.first_seq, state.last_seq], [4, 1, 4], "state");
  const counts = ["a", "b", "c"].map((subject) => state.subjects[`js_streams.${subject}`]);
  expectEqual(counts, [2, 1, 1], "subjects");
  const names = [];
  for await (const name of jsm.streams.names()) names.push(name);
  expect(names.includes("js_streams"), `is not among ${names}`);
  expectEqual(await jsm.streams.find("js_streams.a"), "js_streams", "stream of a subject");
  expect(await jsm.streams.deleteMessage("js_streams", 2), "the message was not deleted");
  expectEqual((await jsm.streams.purge("js_streams", { filter: "js_streams.a" })).purged, 2, "purged");
  state = (await jsm.streams.info("js_streams")).state;
  expectEqual([state.messages, state.first_seq], [1, 4], "state after purge");
  expect(await jsm.streams.delete("js_streams"), "the stream was not deleted");
  await expectError(10059, jsm.streams.info("js_streams"));
}

async function publish(client) {
  const { js } = await fill(client, "js_publish", 0);
  const first = await js.publish("js_publish.a", "1", { msgID: "one" });
  const again = await js.publish("js_publish.a", "1", { msgID: "one" });
  expectEqual([first.stream, first.seq, first.duplicate], ["js_publish", 1, false], "first");
  expectEqual([again.seq, again.duplicate], [1, true], "again");
  await js.publish("js_publish.b", "2", { expect: { lastSequence: 1, streamName: "js_publish" } });
  await expectError(10071, js.publish("js_publish.b", "", { expect: { lastSequence: 1 } }));
  await expectError(10070, js.publish("js_publish.b", "", { expect: { lastMsgID: "two" } }));
  await expectError(10071, js.publish("js_publish.b", "", { expect: { lastSubjectSequence: 1 } }));
  await expectError(10060, js.publish("js_publish.b", "", { expect: { streamName: "other" } }));
  const acks = await Promise.all(numbers(0, 200).map((text) => js.publish("js_publish.c", text)));
  expectEqual(acks.map((ack) => String(ack.seq)), numbers(3, 203), "sequences");
  const problem = await js.publish("js_nobody", "").catch((problem) => problem);
  expect(problem instanceof Error, "a subject without a stream was acknowledged");
}

async function pull(client) {
  const { js, jsm } = await fill(client, "js_pull", 10);
  await jsm.consumers.add("js_pull", { durable_name: "worker", ack_policy: "explicit" });
  const consumer = await js.consumers.get("js_pull", "worker");
  const first = await fetch(consumer, 4);
  expectEqual(strings(first), numbers(0, 4), "first batch");
  expectEqual(first[0].info.pending, 9, "pending of the first");
  for (const message of first) expect(await message.ackAck({ timeout: PATIENCE_MS }), "was not confirmed");
  const info = await consumer.info();
  expectEqual([info.num_pending, info.num_ack_pending, info.ack_floor.stream_seq], [6, 0, 4], "info");
  expectEqual(strings(await fetch(consumer, 10, 1000)), numbers(4, 10), "second batch");
  expectEqual(await consumer.next({ expires: 1000 }), null, "more than all");
}

async function push(client) {
  const { js, jsm } = await fill(client, "js_push", 5);
  await jsm.consumers.add("js_push", {
    durable_name: "pushed",
    deliver_subject: `_INBOX.${nuid.next()}`,
    ack_policy: "explicit",
    flow_control: true,
    idle_heartbeat: nanos(1000),
  });
  const consumer = await js.consumers.getPushConsumer("js_push", "pushed");
  const received = take(await consumer.consume(), 8);
  for (const text of numbers(5, 8)) await js.publish("js_push.n", text);
  const got = await received;
  expectEqual(strings(got), numbers(0, 8), "messages");
  for (const message of got) await message.ackAck({ timeout: PATIENCE_MS });
  expectEqual((await consumer.info()).delivered.consumer_seq, 8, "delivered");
}

async function ordered(client) {
  const { js } = await fill(client, "js_ordered", 100);
  const consumer = await js.consumers.get("js_ordered");
  const received = take(await consumer.consume(), 101);
  await js.publish("js_ordered.live", "100");
  expectEqual(strings(await received), numbers(0, 101), "messages");
}

async function acknowledge(client) {
  const { js, jsm } = await fill(client, "js_ack", 5);
  await jsm.consumers.add("js_ack", { durable_name: "acks", ack_policy: "explicit", ack_wait: nanos(1000) });
  const consumer = await js.consumers.get("js_ack", "acks");
  // The fifth is not answered at all.
  const [acked, late, slow, ended] = await fetch(consumer, 5);
  await acked.ackAck({ timeout: PATIENCE_MS });
  late.nak(300);
  ended.term("bad");
  for (let turn = 0; turn < 4; turn++) {
    await sleep(400);
    slow.working();
  }
  const again = await fetch(consumer, 2);
  expectEqual(strings(again).sort(), ["1", "4"], "redelivered");
  expectEqual(again.map((message) => message.info.deliveryCount), [2, 2], "deliveries");
  for (const message of [...again, slow]) await message.ackAck({ timeout: PATIENCE_MS });
  const info = await consumer.info();
  expectEqual([info.num_ack_pending, info.ack_floor.stream_seq], [0, 5], "info");
}

async function redelivery(client) {
  const { js, jsm } = await fill(client, "js_again", 1);
  const config = { durable_name: "again", ack_policy: "explicit", ack_wait: nanos(300), max_deliver: 3 };
  await jsm.consumers.add("js_again", config);
  const consumer = await js.consumers.get("js_again", "again");
  for (const attempt of [1, 2, 3]) {
    const message = await consumer.next({ expires: PATIENCE_MS });
    expectEqual(message.info.deliveryCount, attempt, "delivery");
  }
  expectEqual(await consumer.next({ expires: 1000 }), null, "a fourth delivery");
}

async function filters(client) {
  const { js, jsm } = await fill(client, "js_filters", 0);
  for (const subject of ["a", "b", "c", "a", "b.x", "c"]) await js.publish(`js_filters.${subject}`, subject);
  const read = async (count, config) => {
    const info = await jsm.consumers.add("js_filters", { ack_policy: "none", inactive_threshold: nanos(30_000), ...config });
    expectEqual(info.num_pending, count, "pending");
    return fetch(await js.consumers.get("js_filters", info.name), count);
  };
  const several = ["js_filters.a", "js_filters.b.*"];
  expectEqual(strings(await read(2, { filter_subject: several[0] })), ["a", "a"], "one subject");
  expectEqual(strings(await read(3, { filter_subjects: several })), ["a", "a", "b.x"], "several subjects");
  const last = await read(4, { filter_subject: "js_filters.>", deliver_policy: "last_per_subject" });
  expectEqual(strings(last), ["b", "a", "b.x", "c"], "last of each subject");
  expectEqual(strings(await read(1, { deliver_policy: "last" })), ["c"], "last");
  const late = await read(2, { deliver_policy: "by_start_sequence", opt_start_seq: 5 });
  expectEqual(strings(late), ["b.x", "c"], "from a sequence");
  const bare = await read(2, { filter_subject: several[0], headers_only: true });
  const shown = bare.map((message) => [message.string(), message.headers.get("Nats-Msg-Size")]);
  expectEqual(shown, [["", "1"], ["", "1"]], "headers only");
}

async function messages(client) {
  const js = jetstream(client);
  const jsm = await jetstreamManager(client);
  await jsm.streams.add({ name: "js_messages", subjects: ["js_messages.*"], allow_direct: true });
  const sent = newHeaders();
  sent.set("Trace-Id", "t1");
  await js.publish("js_messages.a", Uint8Array.of(0, 255), { headers: sent });
  await js.publish("js_messages.b", "two");
  await js.publish("js_messages.a", "three");
  for (const api of [jsm.streams, jsm.direct]) {
    const first = await api.getMessage("js_messages", { seq: 1 });
    expectEqual([first.seq, first.subject, [...first.data]], [1, "js_messages.a", [0, 255]], "message");
    expectEqual(first.header.get("Trace-Id"), "t1", "header");
    expectEqual((await api.getMessage("js_messages", { last_by_subj: "js_messages.a" })).seq, 3, "last");
    const next = await api.getMessage("js_messages", { seq: 2, next_by_subj: "js_messages.a" });
    expectEqual(next.string(), "three", "next of the subject");
    expectEqual(await api.getMessage("js_messages", { seq: 9 }), null, "a message that is not there");
  }
  const batch = await jsm.direct.getBatch("js_messages", { seq: 1, batch: 2 });
  expectEqual((await take(batch, 2)).map((message) => message.seq), [1, 2], "batch");
}

async function mistakes(client) {
  const { jsm } = await fill(client, "js_mistakes", 1);
  await expectError(10058, jsm.streams.add({ name: "js_mistakes", subjects: ["js_mistakes.other"] }));
  await expectError(10065, jsm.streams.add({ name: "js_overlap", subjects: ["js_mistakes.n"] }));
  await expectError(10052, jsm.streams.add({ name: "js_bad", subjects: ["js_bad..x"] }));
  await expectError(10059, jsm.consumers.add("js_missing", { durable_name: "d" }));
  await expectError(10014, jsm.consumers.info("js_mistakes", "missing"));
  await expectError(10057, jsm.streams.deleteMessage("js_mistakes", 99));
  await jsm.consumers.add("js_mistakes", { durable_name: "worker", ack_policy: "explicit" });
  await expectError(10148, jsm.consumers.add("js_mistakes", { durable_name: "worker", ack_policy: "none" }));
  const usage = await jsm.getAccountInfo();
  expect(usage.streams >= 1 && usage.consumers >= 1, `${usage.streams} streams, ${usage.consumers} consumers`);
}

export const CHECKS = [streams, publish, pull, push, ordered, acknowledge, redelivery, filters, messages, mistakes];
