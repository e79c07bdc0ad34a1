// Checks a broker with nats.js; see ../README.md.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect as connectTo, headers as newHeaders } from "@nats-io/transport-node";
import { expect, expectEqual, PATIENCE_MS } from "./checks.mjs";
import { CHECKS as STREAM_CHECKS } from "./jetstream.mjs";
import { CHECKS as BUCKET_CHECKS } from "./key_value.mjs";
import { store, verify } from "./restart.mjs";

/** The next messages of a subscription. */
async function gather(subscription, count) {
  const messages = [];
  const late = setTimeout(() => subscription.unsubscribe(), PATIENCE_MS);
  for await (const message of subscription) {
    if (messages.push(message) === count) break;
  }
  clearTimeout(late);
  expect(messages.length === count, `got ${messages.length} of ${count}`);
  return messages;
}

const strings = (messages) => messages.map((message) => message.string());

async function connect(client) {
  expect(client.info.version.split(".").length >= 3, "no version");
  expect(client.info.max_payload >= 1024, `max_payload is ${client.info.max_payload}`);
  await client.flush();
}

async function pub_sub(client) {
  const subscription = client.subscribe("js.pub_sub");
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const sent = Array.from({ length: 1000 }, (_, number) => Buffer.from([...bytes, 13, 10, number >> 8, number & 255]));
  const received = gather(subscription, sent.length);
  for (const payload of sent) client.publish("js.pub_sub", payload);
  const got = await received;
  expect(got.every((message, place) => sent[place].equals(message.data)), "other messages, or another order");
}

async function wildcards(client) {
  const one = client.subscribe("js.wild.*.end");
  const rest = client.subscribe("js.wild.>");
  const received = Promise.all([gather(one, 2), gather(rest, 4)]);
  for (const subject of ["js.wild.a.end", "js.wild.b.end", "js.wild.a.b.end", "js.wild", "js.wild.a"]) {
    client.publish(subject, subject);
  }
  const [few, many] = await received;
  await client.flush();
  expectEqual(strings(few), ["js.wild.a.end", "js.wild.b.end"], "* matched otherwise");
  expectEqual(strings(many), ["js.wild.a.end", "js.wild.b.end", "js.wild.a.b.end", "js.wild.a"], "> matched otherwise");
}

async function queue_group(client) {
  const got = [];
  const all = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`got ${got.length} of 300`)), PATIENCE_MS);
    const callback = (_, message) => {
      got.push(Number(message.string()));
      if (got.length === 300) resolve(clearTimeout(late));
    };
    for (let member = 0; member < 3; member++) client.subscribe("js.queue", { queue: "workers", callback });
  });
  for (let number = 0; number < 300; number++) client.publish("js.queue", String(number));
  await all;
  await client.flush();
  const wanted = Array.from({ length: 300 }, (_, number) => number);
  expectEqual(got.sort((a, b) => a - b), wanted, "a message came twice or not at all");
}

async function request_reply(client) {
  client.subscribe("js.service", { callback: (_, message) => message.respond(`re: ${message.string()}`) });
  const asked = Array.from({ length: 50 }, (_, number) => String(number));
  const answers = await Promise.all(asked.map((text) => client.request("js.service", text, { timeout: PATIENCE_MS })));
  expectEqual(strings(answers), asked.map((text) => `re: ${text}`), "answers were mixed up");
}

async function no_responders(client) {
  try {
    await client.request("js.nobody", "", { timeout: PATIENCE_MS });
  } catch (problem) {
    expect(problem.isNoResponders?.(), `failed otherwise: ${problem}`);
    return;
  }
  throw new Error("the request was answered");
}

async function headers(client) {
  const received = gather(client.subscribe("js.headers"), 1);
  const sent = newHeaders();
  sent.append("Trace-Id", "a b:c");
  sent.append("Many", "one");
  sent.append("Many", "two");
  client.publish("js.headers", "", { headers: sent });
  const [message] = await received;
  expectEqual(message.data.length, 0, "payload");
  expectEqual(message.headers.get("Trace-Id"), "a b:c", "one value");
  expectEqual(message.headers.values("Many"), ["one", "two"], "several values");
}

async function auto_unsubscribe(client) {
  const limited = client.subscribe("js.max", { max: 3 });
  const received = gather(client.subscribe("js.max"), 5);
  const few = (async () => {
    const messages = [];
    for await (const message of limited) messages.push(message);
    return messages;
  })();
  for (let number = 0; number < 5; number++) client.publish("js.max", String(number));
  expectEqual(strings(await received), ["0", "1", "2", "3", "4"], "the other subscription lost messages");
  expectEqual(strings(await few), ["0", "1", "2"], "other messages");
}

async function large_payload(client) {
  const payload = Buffer.alloc(client.info.max_payload, "\0\r\n\xff", "latin1");
  const received = gather(client.subscribe("js.large"), 1);
  client.publish("js.large", payload);
  const [message] = await received;
  expect(payload.equals(message.data), "the payload changed on its way");
  try {
    client.publish("js.large", Buffer.alloc(client.info.max_payload + 1));
  } catch {
    return;
  }
  throw new Error("a payload above the limit was sent");
}

async function drain(client, url) {
  let got = 0;
  const leaving = await connectTo({ servers: url, reconnect: false });
  leaving.subscribe("js.drain", { callback: () => got++ });
  await leaving.flush();
  for (let number = 0; number < 100; number++) client.publish("js.drain", String(number));
  await client.flush();
  await leaving.drain();
  expect(leaving.isClosed(), "still open after drain");
  expect(got === 100, `got ${got} of 100`);
}

/** Collects what the client tells of its connection, until it is closed. */
async function watch(client, troubles) {
  for await (const status of client.status()) {
    if (["disconnect", "reconnect", "error", "slowConsumer", "ldm"].includes(status.type)) troubles.push(status.type);
  }
}

function within(promise, milliseconds) {
  let late;
  const limit = new Promise((_, reject) => {
    late = setTimeout(() => reject(new Error(`took longer than ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(late));
}

async function run(url, checks) {
  const client = await connectTo({ servers: url, reconnect: false, timeout: PATIENCE_MS });
  const troubles = [];
  watch(client, troubles);
  const passed = [];
  const failed = {};
  for (const check of checks) {
    try {
      await within(check(client, url), 3 * PATIENCE_MS);
      passed.push(check.name);
    } catch (problem) {
      failed[check.name] = String(problem);
    }
  }
  if (troubles.length > 0 || client.isClosed()) failed.steady = troubles.join(", ") || "closed";
  else passed.push("steady");
  await client.close();
  return { client: `nats.js ${version()}`, passed, failed };
}

function version() {
  const entry = createRequire(import.meta.url).resolve("@nats-io/transport-node");
  const folder = entry.slice(0, entry.indexOf("transport-node") + "transport-node".length);
  return JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).version;
}

const CORE = [connect, pub_sub, wildcards, queue_group, request_reply, no_responders, headers];
CORE.push(auto_unsubscribe, large_payload, drain);
const PARTS = { all: [...CORE, ...STREAM_CHECKS, ...BUCKET_CHECKS], store: [store], verify: [verify] };

const report = await run(process.argv[2], PARTS[process.argv[3] ?? "all"]);
console.log(JSON.stringify(report));
process.exit(Object.keys(report.failed).length > 0 ? 1 : 0);
