"""Checks a broker with nats.py; see ../README.md."""

import asyncio
import importlib.metadata
import json
import sys

import nats
import nats.errors

import jetstream
import key_value
import restart
from checks import PATIENCE_S, expect


async def gather(subscription, count):
    """The payloads of the next messages."""
    return [(await subscription.next_msg(timeout=PATIENCE_S)).data for _ in range(count)]


async def expect_silence(client, subscription):
    """Nothing more is on its way once a flush is answered."""
    await client.flush(timeout=PATIENCE_S)
    expect(subscription.pending_msgs == 0, f"{subscription.pending_msgs} messages too many")


async def connect(client):
    expect(str(client.connected_server_version).count(".") >= 2, "no version")
    expect(client.max_payload >= 1024, f"max_payload is {client.max_payload}")
    await client.flush(timeout=PATIENCE_S)


async def pub_sub(client):
    subscription = await client.subscribe("py.pub_sub")
    sent = [bytes(range(256)) + b"\r\n%d" % number for number in range(1000)]
    for payload in sent:
        await client.publish("py.pub_sub", payload)
    expect(await gather(subscription, len(sent)) == sent, "other messages, or another order")
    await expect_silence(client, subscription)


async def wildcards(client):
    one = await client.subscribe("py.wild.*.end")
    rest = await client.subscribe("py.wild.>")
    for subject in ["py.wild.a.end", "py.wild.b.end", "py.wild.a.b.end", "py.wild", "py.wild.a"]:
        await client.publish(subject, subject.encode())
    expect(await gather(one, 2) == [b"py.wild.a.end", b"py.wild.b.end"], "* matched otherwise")
    expected = [b"py.wild.a.end", b"py.wild.b.end", b"py.wild.a.b.end", b"py.wild.a"]
    expect(await gather(rest, 4) == expected, "> matched otherwise")
    await expect_silence(client, one)
    await expect_silence(client, rest)


async def queue_group(client):
    got, done = [], asyncio.Event()

    async def member(message):
        got.append(int(message.data))
        if len(got) >= 300:
            done.set()

    for _ in range(3):
        await client.subscribe("py.queue", queue="workers", cb=member)
    for number in range(300):
        await client.publish("py.queue", b"%d" % number)
    await asyncio.wait_for(done.wait(), PATIENCE_S)
    await client.flush(timeout=PATIENCE_S)
    expect(sorted(got) == list(range(300)), "a message came twice or not at all")


async def request_reply(client):
    async def answer(message):
        await message.respond(b"re: " + message.data)

    await client.subscribe("py.service", cb=answer)
    asked = [b"%d" % number for number in range(50)]
    answers = await asyncio.gather(*(client.request("py.service", text, timeout=PATIENCE_S) for text in asked))
    expect([a.data for a in answers] == [b"re: " + text for text in asked], "answers were mixed up")


async def no_responders(client):
    try:
        await client.request("py.nobody", b"", timeout=PATIENCE_S)
    except nats.errors.NoRespondersError:
        return
    raise AssertionError("the request was answered")


async def headers(client):
    subscription = await client.subscribe("py.headers")
    await client.publish("py.headers", b"", headers={"Trace-Id": "a b:c", "Empty": ""})
    message = await subscription.next_msg(timeout=PATIENCE_S)
    expect(message.data == b"", f"payload {message.data!r}")
    expect(message.headers.get("Trace-Id") == "a b:c", f"headers {message.headers}")
    expect("Empty" in message.headers, f"headers {message.headers}")


async def auto_unsubscribe(client):
    subscription = await client.subscribe("py.max")
    await subscription.unsubscribe(limit=3)
    other = await client.subscribe("py.max")
    for number in range(5):
        await client.publish("py.max", b"%d" % number)
    expect(await gather(subscription, 3) == [b"0", b"1", b"2"], "other messages")
    expect(await gather(other, 5) == [b"0", b"1", b"2", b"3", b"4"], "the other subscription lost messages")


async def large_payload(client):
    subscription = await client.subscribe("py.large")
    payload = b"\x00\r\n\xff" * (client.max_payload // 4)
    payload += b"x" * (client.max_payload - len(payload))
    await client.publish("py.large", payload)
    expect(await gather(subscription, 1) == [payload], "the payload changed on its way")
    try:
        await client.publish("py.large", payload + b"x")
    except nats.errors.MaxPayloadError:
        return
    raise AssertionError("a payload above the limit was sent")


async def drain(client, url):
    got = []

    async def slowly(message):
        await asyncio.sleep(0)
        got.append(message.data)

    leaving = await nats.connect(url, allow_reconnect=False)
    await leaving.subscribe("py.drain", cb=slowly)
    await leaving.flush(timeout=PATIENCE_S)
    for number in range(100):
        await client.publish("py.drain", b"%d" % number)
    await client.flush(timeout=PATIENCE_S)
    await leaving.drain()
    expect(leaving.is_closed, "still open after drain")
    expect(len(got) == 100, f"got {len(got)} of 100")


async def run(url, checks):
    troubles = []

    async def trouble(problem=None):
        troubles.append(repr(problem) if problem else "disconnected")

    client = await nats.connect(
        url, error_cb=trouble, disconnected_cb=trouble, allow_reconnect=False, connect_timeout=PATIENCE_S
    )
    passed, failed = [], {}
    for check in checks:
        arguments = (client, url) if check is drain else (client,)
        try:
            await asyncio.wait_for(check(*arguments), 3 * PATIENCE_S)
            passed.append(check.__name__)
        except Exception as problem:  # every failure belongs in the report
            failed[check.__name__] = repr(problem)
    if troubles:
        failed["steady"] = "; ".join(troubles)
    else:
        passed.append("steady")
    await client.close()
    return {"client": f"nats.py {importlib.metadata.version('nats-py')}", "passed": passed, "failed": failed}


CORE = [connect, pub_sub, wildcards, queue_group, request_reply, no_responders, headers]
CORE += [auto_unsubscribe, large_payload, drain]
PARTS = {"all": CORE + jetstream.CHECKS + key_value.CHECKS, "store": [restart.store], "verify": [restart.verify]}

if __name__ == "__main__":
    report = asyncio.run(run(sys.argv[1], PARTS[sys.argv[2] if len(sys.argv) > 2 else "all"]))
    print(json.dumps(report))
    sys.exit(1 if report["failed"] else 0)
