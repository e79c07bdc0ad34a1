"""What is stored outlives a restart; see ../README.md."""

from nats.js.api import ConsumerConfig, StorageType

from checks import PATIENCE_S, expect_equal, expect_error

COUNT = 500


def payload(number):
    return b"%d:" % number + bytes(range(256)) * (number % 5)


async def store(client):
    """Stores what `verify` looks for; all of it is acknowledged when this returns."""
    js = client.jetstream()
    await js.add_stream(name="py_kept", subjects=["py_kept.>"])
    await js.add_stream(name="py_gone", subjects=["py_gone.>"], storage=StorageType.MEMORY)
    for number in range(COUNT):
        await js.publish(f"py_kept.{number % 7}", payload(number), headers={"Nats-Msg-Id": f"id-{number}"})
        await js.publish("py_gone.x", payload(number))
    await js.delete_msg("py_kept", 11)
    subscription = await js.pull_subscribe("py_kept.>", durable="half", stream="py_kept", config=ConsumerConfig(ack_wait=60))
    for message in await subscription.fetch(200, timeout=PATIENCE_S):
        await message.ack_sync(timeout=PATIENCE_S)
    bucket = await js.create_key_value(bucket="py_kept", history=3)
    for number in range(100):
        await bucket.put(f"k{number % 10}", b"%d" % number)
    await bucket.delete("k0")


async def verify(client):
    """What `store` stored is there, and nothing else."""
    js = client.jetstream()
    state = (await js.stream_info("py_kept")).state
    expect_equal((state.messages, state.first_seq, state.last_seq), (COUNT - 1, 1, COUNT), "state")
    again = await js.publish("py_kept.0", b"", headers={"Nats-Msg-Id": f"id-{COUNT - 1}"})
    expect_equal((again.seq, again.duplicate), (COUNT, True), "a message that was published before")
    await expect_error(10037, js.get_msg("py_kept", seq=11))
    subscription = await js.subscribe("py_kept.>", stream="py_kept", ordered_consumer=True)
    wanted = [payload(number) for number in range(COUNT) if number != 10]
    expect_equal([(await subscription.next_msg(timeout=PATIENCE_S)).data for _ in wanted], wanted, "messages")
    info = await js.consumer_info("py_kept", "half")
    expect_equal((info.ack_floor.stream_seq, info.num_pending), (201, COUNT - 201), "consumer")
    half = await js.pull_subscribe_bind("half", stream="py_kept")
    expect_equal((await half.fetch(1, timeout=PATIENCE_S))[0].data, payload(201), "the consumer's next message")
    bucket = await js.key_value("py_kept")
    expect_equal(sorted(await bucket.keys()), [f"k{number}" for number in range(1, 10)], "keys")
    expect_equal([entry.value for entry in await bucket.history("k3")], [b"73", b"83", b"93"], "history")
    await expect_error(10059, js.stream_info("py_gone"))
