//! The codec: what one read of a socket costs to parse, and one delivery to write.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire_nats::encode::message_line;
use wire_nats::{Limits, Parsed, parse};

const LIMITS: Limits = Limits {
    max_control_line: 4096,
    max_payload: 1 << 20,
    headers: true,
};
/// As much as a socket is read at once.
const READ_BYTES: usize = 64 << 10;

fn parse_publishes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, verb, payload_bytes) in [
        ("PUB 16 B", "PUB bench.0001 16\r\n", 16),
        ("PUB 128 B", "PUB bench.0001 128\r\n", 128),
        (
            "PUB with reply 128 B",
            "PUB bench.0001 _INBOX.abcdef.1 128\r\n",
            128,
        ),
        ("pub in lower case 128 B", "pub bench.0001 128\r\n", 128),
    ] {
        let command = [verb.as_bytes(), &vec![b'x'; payload_bytes], b"\r\n"].concat();
        let count = READ_BYTES / command.len();
        let read = command.repeat(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(count_commands(black_box(&read)), count))
        });
    }
    group.finish();
}

fn count_commands(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Ok(Parsed::Command(command, len)) = parse(bytes, &LIMITS) {
        black_box(command);
        bytes = &bytes[len..];
        count += 1;
    }
    count
}

fn write_deliveries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message line");
    group.throughput(Throughput::Elements(1));
    for (name, reply) in [("without reply", &b""[..]), ("with reply", b"_INBOX.abcdef.1")] {
        let mut out = Vec::with_capacity(READ_BYTES);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                message_line(
                    &mut out,
                    black_box(b"bench.0001"),
                    b"1",
                    reply,
                    None,
                    black_box(128),
                );
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parse_publishes, write_deliveries);
criterion_main!(benches);
