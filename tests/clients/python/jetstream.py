"""Streams and consumers; see ../README.md. Each check has a stream of its own, named after it."""

import asyncio

import nats.errors
import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from checks import PATIENCE_S, expect, expect_equal, expect_error


async def fill(js, name, count, subject="n"):
    """A stream with messages `0`, `1`, ... that are acknowledged."""
    await js.add_stream(name=name, subjects=[f"{name}.>"])
    for number in range(count):
        ack = await js.publish(f"{name}.{subject}", b"%d" % number)
        expect_equal(ack.seq, number + 1, "sequence")


def numbers(*wanted):
    return [b"%d" % number for number in wanted]


def payloads(messages):
    return [message.data for message in messages]


async def streams(client):
    js = client.jetstream()
    made = await js.add_stream(name="py_streams", subjects=["py_streams.*"], description="first", max_msgs=100)
    expect_equal(made.config.max_msgs, 100, "max_msgs")
    for subject in ["a", "b", "a", "c"]:
        await js.publish(f"py_streams.{subject}", b"x")
    changed = await js.update_stream(made.config, description="second")
    expect_equal(changed.config.description, "second", "description")
    info = await js.stream_info("py_streams", subjects_filter=">")
    expect_equal((info.state.messages, info.state.first_seq, info.state.last_seq), (4, 1, 4), "state")
    expect_equal(info.state.subjects, {"py_streams.a": 2, "py_streams.b": 1, "py_streams.c": 1}, "subjects")
    expect("py_streams" in [stream.config.name for stream in await js.streams_info()], "is not in the list")
    expect_equal(await js.find_stream_name_by_subject("py_streams.a"), "py_streams", "stream of a subject")
    expect(await js.delete_msg("py_streams", 2), "the message was not deleted")
    expect(await js.purge_stream("py_streams", subject="py_streams.a"), "was not purged")
    info = await js.stream_info("py_streams")
    expect_equal((info.state.messages, info.state.first_seq), (1, 4), "state after purge")
    expect(await js.delete_stream("py_streams"), "the stream was not deleted")
    await expect_error(10059, js.stream_info("py_streams"))


async def publish(client):
    js = client.jetstream()
    await js.add_stream(name="py_publish", subjects=["py_publish.*"])
    first = await js.publish("py_publish.a", b"1", headers={"Nats-Msg-Id": "one"})
    again = await js.publish("py_publish.a", b"1", headers={"Nats-Msg-Id": "one"})
    expect_equal((first.stream, first.seq, bool(first.duplicate)), ("py_publish", 1, False), "first")
    expect_equal((again.seq, bool(again.duplicate)), (1, True), "again")
    await js.publish("py_publish.b", b"2", stream="py_publish", headers={"Nats-Expected-Last-Sequence": "1"})
    await expect_error(10071, js.publish("py_publish.b", b"", headers={"Nats-Expected-Last-Sequence": "1"}))
    await expect_error(10070, js.publish("py_publish.b", b"", headers={"Nats-Expected-Last-Msg-Id": "two"}))
    await expect_error(10071, js.publish("py_publish.b", b"", headers={"Nats-Expected-Last-Subject-Sequence": "1"}))
    await expect_error(10060, js.publish("py_publish.b", b"", stream="other"))
    acks = await asyncio.gather(*(js.publish("py_publish.c", b"%d" % number) for number in range(200)))
    expect_equal(sorted(ack.seq for ack in acks), list(range(3, 203)), "sequences")
    try:
        await js.publish("py_nobody", b"")
    except nats.js.errors.NoStreamResponseError:
        return
    raise AssertionError("a subject without a stream was acknowledged")


async def pull(client):
    js = client.jetstream()
    await fill(js, "py_pull", 10)
    subscription = await js.pull_subscribe("py_pull.>", durable="worker", stream="py_pull")
    first = await subscription.fetch(4, timeout=PATIENCE_S)
    expect_equal(payloads(first), numbers(0, 1, 2, 3), "first batch")
    expect_equal(first[0].metadata.num_pending, 9, "pending of the first")
    for message in first:
        await message.ack_sync(timeout=PATIENCE_S)
    info = await subscription.consumer_info()
    expect_equal((info.num_pending, info.num_ack_pending, info.ack_floor.stream_seq), (6, 0, 4), "info")
    expect_equal(payloads(await subscription.fetch(10, timeout=1)), numbers(4, 5, 6, 7, 8, 9), "second batch")
    try:
        await subscription.fetch(1, timeout=0.2)
    except nats.errors.TimeoutError:
        return
    raise AssertionError("more than all was delivered")


async def push(client):
    js = client.jetstream()
    await fill(js, "py_push", 5)
    got, done = [], asyncio.Event()

    async def handle(message):
        got.append(message.data)
        if len(got) == 8:
            done.set()

    await js.subscribe("py_push.n", durable="pushed", cb=handle, idle_heartbeat=1, flow_control=True)
    for number in range(5, 8):
        await js.publish("py_push.n", b"%d" % number)
    await asyncio.wait_for(done.wait(), PATIENCE_S)
    expect_equal(got, numbers(*range(8)), "messages")
    await client.flush(timeout=PATIENCE_S)
    info = await js.consumer_info("py_push", "pushed")
    expect_equal((info.delivered.consumer_seq, info.push_bound), (8, True), "info")


async def ordered(client):
    js = client.jetstream()
    await fill(js, "py_ordered", 100)
    subscription = await js.subscribe("py_ordered.>", ordered_consumer=True)
    got = [await subscription.next_msg(timeout=PATIENCE_S) for _ in range(100)]
    expect_equal(payloads(got), numbers(*range(100)), "messages")
    expect_equal(got[-1].metadata.num_pending, 0, "pending of the last")
    await js.publish("py_ordered.live", b"live")
    expect_equal((await subscription.next_msg(timeout=PATIENCE_S)).data, b"live", "live message")


async def acknowledge(client):
    js = client.jetstream()
    await fill(js, "py_ack", 5)
    config = ConsumerConfig(ack_wait=1)
    subscription = await js.pull_subscribe("py_ack.>", durable="acks", stream="py_ack", config=config)
    acked, late, slow, ended, silent = await subscription.fetch(5, timeout=PATIENCE_S)
    await acked.ack_sync(timeout=PATIENCE_S)
    await late.nak(delay=0.3)
    await ended.term()
    for _ in range(4):
        await asyncio.sleep(0.4)
        await slow.in_progress()
    again = await subscription.fetch(3, timeout=0.3)
    expect_equal(sorted(payloads(again)), numbers(1, 4), "redelivered")
    expect_equal([message.metadata.num_delivered for message in again], [2, 2], "deliveries")
    expect(silent.metadata.sequence.stream == 5, "other message")
    for message in again + [slow]:
        await message.ack_sync(timeout=PATIENCE_S)
    info = await subscription.consumer_info()
    expect_equal((info.num_ack_pending, info.ack_floor.stream_seq), (0, 5), "info")


async def redelivery(client):
    js = client.jetstream()
    await fill(js, "py_again", 1)
    config = ConsumerConfig(ack_wait=0.3, max_deliver=3)
    subscription = await js.pull_subscribe("py_again.>", durable="again", stream="py_again", config=config)
    for attempt in range(1, 4):
        (message,) = await subscription.fetch(1, timeout=PATIENCE_S)
        expect_equal(message.metadata.num_delivered, attempt, "delivery")
    try:
        await subscription.fetch(1, timeout=1)
    except nats.errors.TimeoutError:
        return
    raise AssertionError("a fourth delivery")


async def filters(client):
    js = client.jetstream()
    await js.add_stream(name="py_filters", subjects=["py_filters.>"])
    for subject in ["a", "b", "c", "a", "b.x", "c"]:
        await js.publish(f"py_filters.{subject}", subject.encode())

    async def read(count, **config):
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, inactive_threshold=30, **config)
        info = await js.add_consumer("py_filters", config=config)
        expect_equal(info.num_pending, count, "pending")
        subscription = await js.pull_subscribe_bind(info.name, stream="py_filters")
        return await subscription.fetch(count, timeout=PATIENCE_S)

    expect_equal(payloads(await read(2, filter_subject="py_filters.a")), [b"a", b"a"], "one subject")
    some = await read(3, filter_subjects=["py_filters.a", "py_filters.b.*"])
    expect_equal(payloads(some), [b"a", b"a", b"b.x"], "several subjects")
    last = await read(4, filter_subject="py_filters.>", deliver_policy=DeliverPolicy.LAST_PER_SUBJECT)
    expect_equal(payloads(last), [b"b", b"a", b"b.x", b"c"], "last of each subject")
    expect_equal(payloads(await read(1, deliver_policy=DeliverPolicy.LAST)), [b"c"], "last")
    late = await read(2, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=5)
    expect_equal(payloads(late), [b"b.x", b"c"], "from a sequence")
    bare = await read(2, filter_subject="py_filters.a", headers_only=True)
    expect_equal([(m.data, m.headers["Nats-Msg-Size"]) for m in bare], [(b"", "1")] * 2, "headers only")


async def messages(client):
    js = client.jetstream()
    await js.add_stream(name="py_messages", subjects=["py_messages.*"], allow_direct=True)
    await js.publish("py_messages.a", b"\x00\xff", headers={"Trace-Id": "t1"})
    await js.publish("py_messages.b", b"two")
    await js.publish("py_messages.a", b"three")
    for direct in [False, True]:
        message = await js.get_msg("py_messages", seq=1, direct=direct)
        expect_equal((message.seq, message.subject, message.data), (1, "py_messages.a", b"\x00\xff"), "message")
        expect_equal(message.headers["Trace-Id"], "t1", "header")
        expect_equal((await js.get_last_msg("py_messages", "py_messages.a", direct=direct)).seq, 3, "last")
        following = await js.get_msg("py_messages", seq=2, subject="py_messages.a", direct=direct, next=True)
        expect_equal(following.data, b"three", "next of the subject")
    await expect_error(10037, js.get_msg("py_messages", seq=9))
    try:
        await js.get_msg("py_messages", seq=9, direct=True)
    except nats.js.errors.NotFoundError:
        return
    raise AssertionError("a message that is not there was found")


async def mistakes(client):
    js = client.jetstream()
    await fill(js, "py_mistakes", 1)
    await expect_error(10058, js.add_stream(name="py_mistakes", subjects=["py_mistakes.other"]))
    await expect_error(10065, js.add_stream(name="py_overlap", subjects=["py_mistakes.n"]))
    await expect_error(10052, js.add_stream(name="py_bad", subjects=["py_bad..x"]))
    await expect_error(10059, js.add_consumer("py_missing", durable_name="d"))
    await expect_error(10014, js.consumer_info("py_mistakes", "missing"))
    await expect_error(10057, js.delete_msg("py_mistakes", 99))
    await js.add_consumer("py_mistakes", durable_name="worker", ack_policy=AckPolicy.EXPLICIT)
    await expect_error(10012, js.add_consumer("py_mistakes", durable_name="worker", ack_policy=AckPolicy.NONE))
    usage = await js.account_info()
    expect(usage.streams >= 1 and usage.consumers >= 1, f"{usage.streams} streams, {usage.consumers} consumers")


CHECKS = [streams, publish, pull, push, ordered, acknowledge, redelivery, filters, messages, mistakes]
