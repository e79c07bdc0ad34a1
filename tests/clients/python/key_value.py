"""Buckets; see ../README.md."""

import nats.js.errors

from checks import PATIENCE_S, expect, expect_equal


async def key_value(client):
    js = client.jetstream()
    bucket = await js.create_key_value(bucket="py_kv", history=1)
    first = await bucket.put("a", b"one")
    expect_equal((await bucket.get("a")).value, b"one", "value")
    second = await bucket.update("a", b"two", last=first)
    expect(second > first, "the revision did not grow")
    try:
        await bucket.update("a", b"late", last=first)
        raise AssertionError("an update of an old revision was taken")
    except nats.js.errors.KeyWrongLastSequenceError:
        pass
    await bucket.create("b", b"new")
    try:
        await bucket.create("a", b"new")
        raise AssertionError("a key was created twice")
    except nats.js.errors.KeyWrongLastSequenceError:
        pass
    await bucket.delete("b")
    await expect_missing(bucket, "b")
    await bucket.create("b", b"again")
    expect_equal((await bucket.get("b")).value, b"again", "value after the delete")
    await bucket.purge("b")
    await expect_missing(bucket, "b")
    await expect_missing(bucket, "never")
    expect_equal(await bucket.keys(), ["a"], "keys")
    expect_equal((await bucket.status()).values, 2, "values")
    await js.delete_key_value("py_kv")
    try:
        await js.key_value("py_kv")
    except nats.js.errors.BucketNotFoundError:
        return
    raise AssertionError("the bucket is still there")


async def expect_missing(bucket, key):
    try:
        await bucket.get(key)
    except nats.js.errors.KeyNotFoundError:
        return
    raise AssertionError(f"{key} has a value")


async def key_history(client):
    bucket = await client.jetstream().create_key_value(bucket="py_history", history=5)
    for number in range(8):
        await bucket.put("k", b"%d" % number)
    await bucket.put("other", b"x")
    await bucket.delete("k")
    entries = await bucket.history("k")
    expect_equal([entry.value or b"" for entry in entries], [b"4", b"5", b"6", b"7", b""], "values")
    expect_equal([entry.operation for entry in entries], [None] * 4 + ["DEL"], "operations")
    expect_equal((await bucket.get("k", revision=entries[0].revision)).value, b"4", "an old revision")


async def key_watch(client):
    bucket = await client.jetstream().create_key_value(bucket="py_watch")
    await bucket.put("a.x", b"1")
    await bucket.put("b.x", b"2")
    every = await bucket.watchall()
    some = await bucket.watch("a.*")
    expect_equal([await seen(every) for _ in range(3)], [("a.x", b"1"), ("b.x", b"2"), None], "all")
    expect_equal([await seen(some) for _ in range(2)], [("a.x", b"1"), None], "some")
    await bucket.put("b.x", b"3")
    await bucket.put("a.y", b"4")
    expect_equal([await seen(every) for _ in range(2)], [("b.x", b"3"), ("a.y", b"4")], "live, all")
    expect_equal(await seen(some), ("a.y", b"4"), "live, some")
    await every.stop()
    await some.stop()


async def seen(watcher):
    """The next update; None when all that was there has come."""
    entry = await watcher.updates(timeout=PATIENCE_S)
    return entry and (entry.key, entry.value)


CHECKS = [key_value, key_history, key_watch]
