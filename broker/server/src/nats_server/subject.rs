//! Subjects as a configuration's permissions may name them.

/// Whether `subject` is one nats-server takes in a permission: tokens without blanks, `>` only at the end.
pub(super) fn is_valid(subject: &str) -> bool {
    let mut ended = false;
    subject.split('.').all(|token| {
        let valid = !token.is_empty() && !ended && !token.contains(['\t', '\n', '\u{c}', '\r', ' ']);
        ended = token == ">";
        valid
    })
}

/// Checks subjects of a permission; where `with_queue`, one may name a queue group after a blank.
pub(super) fn check(subjects: &[String], with_queue: bool) -> Result<(), String> {
    subjects
        .iter()
        .filter(|subject| !is_valid(subject))
        .try_for_each(|subject| {
            let parts: Vec<&str> = subject.split_whitespace().collect();
            match parts[..] {
                [subject, queue] if with_queue => match (is_valid(subject), is_valid(queue)) {
                    (false, _) => Err(format!("subject {subject:?} is not a valid subject")),
                    (_, false) => Err(format!("queue {queue:?} is not a valid queue")),
                    _ => Ok(()),
                },
                _ => Err(format!("subject {subject:?} is not a valid subject")),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_queues_are_checked() {
        for subject in ["a", "a.b", "*.b", ">", "a.>", "_INBOX.>", "a.*b"] {
            assert!(is_valid(subject), "{subject}");
        }
        for subject in ["", ".", "a..b", "a.>.b", "a b", "a.", "\t"] {
            assert!(!is_valid(subject), "{subject:?}");
        }
        let check = |subject: &str| check(&[subject.to_owned()], true);
        assert_eq!(check("foo.* q.>"), Ok(()));
        assert_eq!(
            check("a..b q"),
            Err("subject \"a..b\" is not a valid subject".into())
        );
        assert_eq!(check("a q..r"), Err("queue \"q..r\" is not a valid queue".into()));
        assert_eq!(
            check("a b c"),
            Err("subject \"a b c\" is not a valid subject".into())
        );
    }
}
