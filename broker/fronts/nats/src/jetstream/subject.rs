//! The subjects of JetStream's API: which operation, on what.

use mainstem_core::subject::tokens;

/// Begins every subject of the API.
pub(crate) const PREFIX: &str = "$JS.API.";

/// Filters of what is served. Anything else under [`PREFIX`] has no responders.
pub(crate) const SERVED: &[&str] = &[
    "INFO",
    "STREAM.CREATE.*",
    "STREAM.UPDATE.*",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.INFO.*",
    "STREAM.DELETE.*",
    "STREAM.PURGE.*",
    "STREAM.MSG.GET.*",
    "STREAM.MSG.DELETE.*",
    "CONSUMER.CREATE.*",
    "CONSUMER.CREATE.*.>",
    "CONSUMER.DURABLE.CREATE.*.*",
    "CONSUMER.NAMES.*",
    "CONSUMER.LIST.*",
    "CONSUMER.INFO.*.*",
    "CONSUMER.DELETE.*.*",
    "CONSUMER.MSG.NEXT.*.*",
    "DIRECT.GET.*",
    "DIRECT.GET.*.>",
];

/// An operation and its operands, parts of the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    AccountInfo,
    StreamCreate {
        stream: &'a str,
    },
    StreamUpdate {
        stream: &'a str,
    },
    StreamNames,
    StreamList,
    StreamInfo {
        stream: &'a str,
    },
    StreamDelete {
        stream: &'a str,
    },
    StreamPurge {
        stream: &'a str,
    },
    MessageGet {
        stream: &'a str,
    },
    MessageDelete {
        stream: &'a str,
    },
    ConsumerCreate(ConsumerSubject<'a>),
    ConsumerNames {
        stream: &'a str,
    },
    ConsumerList {
        stream: &'a str,
    },
    ConsumerInfo {
        stream: &'a str,
        consumer: &'a str,
    },
    ConsumerDelete {
        stream: &'a str,
        consumer: &'a str,
    },
    /// A client pulls.
    Next {
        stream: &'a str,
        consumer: &'a str,
    },
    /// What is wanted stands in the request.
    DirectGet {
        stream: &'a str,
    },
    DirectGetLast {
        stream: &'a str,
        subject: &'a str,
    },
}

/// The three ways to ask for a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsumerSubject<'a> {
    /// `CONSUMER.CREATE.<stream>`
    Ephemeral { stream: &'a str },
    /// `CONSUMER.DURABLE.CREATE.<stream>.<durable>`
    Durable { stream: &'a str, durable: &'a str },
    /// `CONSUMER.CREATE.<stream>.<name>[.<filter>]`
    Named {
        stream: &'a str,
        name: &'a str,
        filter: Option<&'a str>,
    },
}

impl<'a> Op<'a> {
    /// Reads a subject behind [`PREFIX`].
    pub(crate) fn parse(subject: &'a str) -> Option<Self> {
        // The last one takes all that is left: a filter, or the subject of a message.
        let mut parts = subject.splitn(5, '.');
        let mut next = || parts.next();
        let whole = match (next()?, next(), next(), next(), next()) {
            ("INFO", None, ..) => Self::AccountInfo,
            ("STREAM", Some("NAMES"), None, ..) => Self::StreamNames,
            ("STREAM", Some("LIST"), None, ..) => Self::StreamList,
            ("STREAM", Some(verb), Some(stream), None, _) => Self::of_stream(verb, stream)?,
            ("STREAM", Some("MSG"), Some("GET"), Some(stream), None) => Self::MessageGet { stream },
            ("STREAM", Some("MSG"), Some("DELETE"), Some(stream), None) => Self::MessageDelete { stream },
            ("CONSUMER", Some("CREATE"), Some(stream), name, filter) => Self::ConsumerCreate(match name {
                None => ConsumerSubject::Ephemeral { stream },
                Some(name) => ConsumerSubject::Named { stream, name, filter },
            }),
            ("CONSUMER", Some("NAMES"), Some(stream), None, _) => Self::ConsumerNames { stream },
            ("CONSUMER", Some("LIST"), Some(stream), None, _) => Self::ConsumerList { stream },
            ("CONSUMER", Some(verb), Some(a), Some(b), None) => Self::of_consumer(verb, a, b)?,
            ("CONSUMER", Some(verb), Some(noun), Some(stream), Some(consumer)) => {
                Self::with_noun(verb, noun, stream, consumer)?
            }
            ("DIRECT", Some("GET"), Some(stream), None, _) => Self::DirectGet { stream },
            ("DIRECT", Some("GET"), Some(stream), Some(_), _) => Self::DirectGetLast {
                stream,
                subject: &subject["DIRECT.GET.".len() + stream.len() + 1..],
            },
            _ => return None,
        };
        Some(whole)
    }

    fn of_stream(verb: &str, stream: &'a str) -> Option<Self> {
        Some(match verb {
            "CREATE" => Self::StreamCreate { stream },
            "UPDATE" => Self::StreamUpdate { stream },
            "INFO" => Self::StreamInfo { stream },
            "DELETE" => Self::StreamDelete { stream },
            "PURGE" => Self::StreamPurge { stream },
            _ => return None,
        })
    }

    fn of_consumer(verb: &str, stream: &'a str, consumer: &'a str) -> Option<Self> {
        Some(match verb {
            "INFO" => Self::ConsumerInfo { stream, consumer },
            "DELETE" => Self::ConsumerDelete { stream, consumer },
            _ => return None,
        })
    }

    fn with_noun(verb: &str, noun: &str, stream: &'a str, consumer: &'a str) -> Option<Self> {
        if tokens(consumer.as_bytes()).count() != 1 {
            return None;
        }
        Some(match (verb, noun) {
            ("DURABLE", "CREATE") => Self::ConsumerCreate(ConsumerSubject::Durable {
                stream,
                durable: consumer,
            }),
            ("MSG", "NEXT") => Self::Next { stream, consumer },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let named = |name, filter| {
            Op::ConsumerCreate(ConsumerSubject::Named {
                stream: "S",
                name,
                filter,
            })
        };
        let (stream, consumer) = ("S", "C");
        let table = [
            ("INFO", Op::AccountInfo),
            ("STREAM.CREATE.S", Op::StreamCreate { stream }),
            ("STREAM.UPDATE.S", Op::StreamUpdate { stream }),
            ("STREAM.NAMES", Op::StreamNames),
            ("STREAM.LIST", Op::StreamList),
            ("STREAM.INFO.S", Op::StreamInfo { stream }),
            ("STREAM.DELETE.S", Op::StreamDelete { stream }),
            ("STREAM.PURGE.S", Op::StreamPurge { stream }),
            ("STREAM.MSG.GET.S", Op::MessageGet { stream }),
            ("STREAM.MSG.DELETE.S", Op::MessageDelete { stream }),
            (
                "CONSUMER.CREATE.S",
                Op::ConsumerCreate(ConsumerSubject::Ephemeral { stream }),
            ),
            ("CONSUMER.CREATE.S.C", named("C", None)),
            ("CONSUMER.CREATE.S.C.a", named("C", Some("a"))),
            ("CONSUMER.CREATE.S.C.a.*.>", named("C", Some("a.*.>"))),
            (
                "CONSUMER.DURABLE.CREATE.S.C",
                Op::ConsumerCreate(ConsumerSubject::Durable { stream, durable: "C" }),
            ),
            ("CONSUMER.NAMES.S", Op::ConsumerNames { stream }),
            ("CONSUMER.LIST.S", Op::ConsumerList { stream }),
            ("CONSUMER.INFO.S.C", Op::ConsumerInfo { stream, consumer }),
            ("CONSUMER.DELETE.S.C", Op::ConsumerDelete { stream, consumer }),
            ("CONSUMER.MSG.NEXT.S.C", Op::Next { stream, consumer }),
            ("DIRECT.GET.S", Op::DirectGet { stream }),
            ("DIRECT.GET.S.a", Op::DirectGetLast { stream, subject: "a" }),
            (
                "DIRECT.GET.S.$KV.b.c.d",
                Op::DirectGetLast {
                    stream,
                    subject: "$KV.b.c.d",
                },
            ),
        ];
        for (subject, op) in table {
            assert_eq!(Op::parse(subject), Some(op), "{subject}");
            let served = SERVED
                .iter()
                .any(|filter| mainstem_core::subject::is_subset(subject.as_bytes(), filter.as_bytes()));
            assert!(served, "{subject}");
        }
    }

    #[test]
    fn what_is_not_served() {
        for subject in [
            "",
            "X",
            "INFO.S",
            "STREAM",
            "STREAM.CREATE",
            "STREAM.SNAPSHOT.S",
            "STREAM.INFO.S.x",
            "CONSUMER.PAUSE.S.C",
            "CONSUMER.MSG.NEXT.S.C.x",
            "DIRECT.GET",
        ] {
            assert_eq!(Op::parse(subject), None, "{subject}");
        }
    }
}
