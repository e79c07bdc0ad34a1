//! MSG and HMSG frames for the core.

use mainstem_core::{Encoder, Entry, Run};
use wire_nats::encode;

/// Writes deliveries for clients with or without header support.
pub struct NatsEncoder {
    /// The client takes `HMSG`; otherwise headers are left out.
    headers: bool,
}

/// For clients that support headers.
pub static WITH_HEADERS: NatsEncoder = NatsEncoder { headers: true };
/// For clients that do not.
pub static WITHOUT_HEADERS: NatsEncoder = NatsEncoder { headers: false };

impl Encoder for NatsEncoder {
    fn run(&self, out: &mut Vec<u8>, run: &Run<'_>, id: &[u8]) {
        // Messages of one run differ in little; where only the body does, the line before is copied again.
        let mut line_at = 0..0;
        let mut line_size = usize::MAX;
        for entry in run.entries {
            let size = entry.body.len();
            out.reserve(size + 64);
            if entry.reply.is_empty() && entry.header_len == 0 {
                if size == line_size {
                    out.extend_from_within(line_at.clone());
                } else {
                    let start = out.len();
                    encode::message_line(out, run.subject, id, b"", None, size);
                    line_at = start..out.len();
                    line_size = size;
                }
                out.extend_from_slice(run.bytes(entry.body));
            } else {
                let skipped = self.head(out, run, entry, id);
                out.extend_from_slice(&run.bytes(entry.body)[skipped..]);
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    fn head(&self, out: &mut Vec<u8>, run: &Run<'_>, entry: &Entry, id: &[u8]) -> usize {
        let header_len = entry.header_len as usize;
        let skipped = if self.headers { 0 } else { header_len };
        let shown = (self.headers && header_len > 0).then_some(header_len);
        encode::message_line(
            out,
            run.subject,
            id,
            run.reply(entry),
            shown,
            entry.body.len() - skipped,
        );
        skipped
    }

    fn tail(&self) -> &'static [u8] {
        b"\r\n"
    }
}

#[cfg(test)]
mod tests {
    use mainstem_core::Span;

    use super::*;

    #[test]
    fn lines_follow_each_message() {
        let buffer = b"replyhhhbody";
        let entry = |reply: (usize, usize), body: (usize, usize), header_len| Entry {
            reply: Span::new(reply.0, reply.1),
            body: Span::new(body.0, body.1),
            header_len,
        };
        let entries = [
            entry((0, 0), (8, 4), 0),
            entry((0, 0), (8, 4), 0),
            entry((0, 0), (8, 0), 0),
            entry((0, 5), (5, 7), 3),
            entry((0, 0), (8, 4), 0),
        ];
        let run = Run {
            subject: b"s",
            buffer,
            names: buffer,
            entries: &entries,
            shared: None,
        };
        let mut out = Vec::new();
        WITH_HEADERS.run(&mut out, &run, b"9");
        let plain = "MSG s 9 4\r\nbody\r\n";
        let expected = format!("{plain}{plain}MSG s 9 0\r\n\r\nHMSG s 9 reply 3 7\r\nhhhbody\r\n{plain}");
        assert_eq!(String::from_utf8_lossy(&out), expected);
        out.clear();
        WITHOUT_HEADERS.run(&mut out, &run.clone(), b"9");
        let expected = format!("{plain}{plain}MSG s 9 0\r\n\r\nMSG s 9 reply 4\r\nbody\r\n{plain}");
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
