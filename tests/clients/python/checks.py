"""What all checks share."""

import nats.js.errors

PATIENCE_S = 10


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def expect_equal(got, wanted, what):
    expect(got == wanted, f"{what}: {got!r:.200}, not {wanted!r:.200}")


async def expect_error(err_code, call):
    """The call is refused with this `err_code`."""
    try:
        await call
    except nats.js.errors.APIError as problem:
        expect_equal(problem.err_code, err_code, "err_code")
        return
    raise AssertionError(f"was not refused with {err_code}")
