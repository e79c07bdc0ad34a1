//! A small pool of threads for password hashes, which take a tenth of a second each.

use std::sync::Arc;
use std::thread;

use crossbeam::channel::{Sender, TrySendError, bounded};
use tokio::sync::oneshot;

/// Checks that may wait; then logins are refused, and clients try again.
const MAX_WAITING: usize = 1024;

struct Check {
    secret: String,
    hash: String,
    answer: oneshot::Sender<bool>,
}

/// Threads that check bcrypt hashes, in the order they came.
#[derive(Clone)]
pub struct HashPool(Arc<Sender<Check>>);

impl HashPool {
    /// Starts `threads` threads, which end with the last handle to the pool.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (sender, receiver) = bounded::<Check>(MAX_WAITING);
        for index in 0..threads.max(1) {
            let receiver = receiver.clone();
            thread::Builder::new()
                .name(format!("hash-{index}"))
                .spawn(move || {
                    for check in receiver {
                        // A client that went away needs no answer, and its hash no time.
                        if check.answer.is_closed() {
                            continue;
                        }
                        let equal = bcrypt::verify(&check.secret, &check.hash).unwrap_or(false);
                        let _ = check.answer.send(equal);
                    }
                })?;
        }
        Ok(Self(Arc::new(sender)))
    }

    /// Asks whether `secret` has this hash. The answer comes later; `None`: too many are waiting.
    pub fn verify(&self, secret: String, hash: String) -> Option<oneshot::Receiver<bool>> {
        let (answer, receiver) = oneshot::channel();
        match self.0.try_send(Check { secret, hash, answer }) {
            Ok(()) => Some(receiver),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_right_from_wrong() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let pool = HashPool::start(1).unwrap();
        assert!(pool.verify("secret".into(), hash.clone()).unwrap().await.unwrap());
        assert!(!pool.verify("other".into(), hash).unwrap().await.unwrap());
        assert!(
            !pool
                .verify("other".into(), "no hash".into())
                .unwrap()
                .await
                .unwrap()
        );
    }
}
