//! Rows that are written back: changes stay here until a checkpoint, and are seen as if they were written.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use mainstem_storage::{Batch, StateStore, StorageError};

use crate::keys::{self, InvalidRow};

/// What a row costs besides its bytes, about.
const OVERHEAD: usize = 16;

/// A row, whoever holds it.
pub(crate) type Row = (Vec<u8>, Bytes);

/// The rows of a group.
pub(crate) struct Rows {
    group: u32,
    store: Arc<dyn StateStore>,
    /// Changes; `None`: deleted.
    changed: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// Ranges of keys whose rows in the store are deleted, from where they begin to where they end. None overlaps.
    cut: BTreeMap<Vec<u8>, Vec<u8>>,
    changed_bytes: usize,
}

impl Rows {
    pub(crate) fn new(group: u32, store: Arc<dyn StateStore>) -> Self {
        Self {
            group,
            store,
            changed: BTreeMap::new(),
            cut: BTreeMap::new(),
            changed_bytes: 0,
        }
    }

    pub(crate) fn group(&self) -> u32 {
        self.group
    }

    /// About how many bytes [`checkpoint`](Rows::checkpoint) writes.
    pub(crate) fn changed_bytes(&self) -> usize {
        self.changed_bytes
    }

    /// What to say of a row that can not be read.
    pub(crate) fn damaged(&self, what: &str, error: InvalidRow) -> StorageError {
        StorageError::Damaged {
            file: PathBuf::from(format!("the state of group {}", self.group)),
            offset: 0,
            what: format!("{what}: {error}"),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        if let Some(value) = self.changed.get(key) {
            return Ok(value.clone());
        }
        if self.is_cut(key) {
            return Ok(None);
        }
        self.store.get(key)
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changed_bytes += key.len() + value.len() + OVERHEAD;
        if let Some(Some(old)) = self.changed.insert(key, Some(value.into())) {
            self.changed_bytes -= old.len() + OVERHEAD;
        }
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.changed_bytes += key.len() + OVERHEAD;
        self.changed.insert(key, None);
    }

    /// Deletes all rows whose keys begin with `prefix`.
    pub(crate) fn delete_prefix(&mut self, prefix: &[u8]) {
        let end = keys::behind(prefix);
        let range = (Bound::Included(prefix), Bound::Excluded(end.as_slice()));
        let keys: Vec<_> = self
            .changed
            .range::<[u8], _>(range)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.changed.remove(&key);
        }
        if self.is_cut(prefix) {
            return;
        }
        // Ranges of prefixes are apart, or one is in the other.
        let range = (Bound::Included(prefix), Bound::Excluded(end.as_slice()));
        let inside: Vec<_> = self
            .cut
            .range::<[u8], _>(range)
            .map(|(from, _)| from.clone())
            .collect();
        for from in inside {
            self.cut.remove(&from);
        }
        self.changed_bytes += 2 * prefix.len() + OVERHEAD;
        self.cut.insert(prefix.to_vec(), end);
    }

    /// The first row at or after `key` whose key begins with `prefix`.
    pub(crate) fn first_from(&self, key: &[u8], prefix: &[u8]) -> Result<Option<Row>, StorageError> {
        let mut first = None;
        self.scan(key, &keys::behind(prefix), |key, value| {
            first = Some((key.to_vec(), value.clone()));
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    }

    /// The last row at or before `key` whose key begins with `prefix`.
    pub(crate) fn last_to(&self, key: &[u8], prefix: &[u8]) -> Result<Option<Row>, StorageError> {
        let range = (Bound::Included(prefix), Bound::Included(key));
        let held = self
            .changed
            .range::<[u8], _>(range)
            .rev()
            .find_map(|(key, value)| value.as_ref().map(|value| (key.clone(), value.clone())));
        let mut rows = self.store.rows();
        rows.seek_back(key)?;
        while let Some((stored_key, value)) = rows.current() {
            if !stored_key.starts_with(prefix) {
                break;
            }
            if held
                .as_ref()
                .is_some_and(|(held, _)| held.as_slice() >= stored_key)
            {
                break;
            }
            if let Some(from) = self.cut_from(stored_key) {
                let from = from.to_vec();
                rows.seek_back(&from)?;
                if rows.current().is_some_and(|(key, _)| key == from) {
                    rows.prev()?;
                }
            } else if self.changed.contains_key(stored_key) {
                rows.prev()?;
            } else {
                return Ok(Some((stored_key.to_vec(), Bytes::copy_from_slice(value))));
            }
        }
        Ok(held)
    }

    /// Shows the rows from `from` to before `to`, in the order of their keys.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        mut show: impl FnMut(&[u8], &Bytes) -> Result<ControlFlow<()>, StorageError>,
    ) -> Result<(), StorageError> {
        if from >= to {
            return Ok(());
        }
        let mut held = self
            .changed
            .range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
            .peekable();
        let mut rows = self.store.rows();
        rows.seek(from)?;
        loop {
            let stored = rows.current().filter(|(key, _)| *key < to);
            let flow = match (held.peek(), stored) {
                (None, None) => return Ok(()),
                (Some((held_key, _)), stored) if stored.is_none_or(|(key, _)| held_key.as_slice() <= key) => {
                    if stored.is_some_and(|(key, _)| held_key.as_slice() == key) {
                        rows.next()?;
                    }
                    match held.next() {
                        Some((key, Some(value))) => show(key, value)?,
                        _ => ControlFlow::Continue(()),
                    }
                }
                (_, Some((key, value))) => {
                    let flow = if self.is_cut(key) {
                        ControlFlow::Continue(())
                    } else {
                        show(key, &Bytes::copy_from_slice(value))?
                    };
                    rows.next()?;
                    flow
                }
                (Some(_), None) => ControlFlow::Continue(()),
            };
            if flow.is_break() {
                return Ok(());
            }
        }
    }

    /// Shows all rows whose keys begin with `prefix`.
    pub(crate) fn scan_prefix(
        &self,
        prefix: &[u8],
        show: impl FnMut(&[u8], &Bytes) -> Result<ControlFlow<()>, StorageError>,
    ) -> Result<(), StorageError> {
        self.scan(prefix, &keys::behind(prefix), show)
    }

    /// The same, from `from` on.
    pub(crate) fn scan_prefix_from(
        &self,
        from: &[u8],
        prefix: &[u8],
        show: impl FnMut(&[u8], &Bytes) -> Result<ControlFlow<()>, StorageError>,
    ) -> Result<(), StorageError> {
        self.scan(from, &keys::behind(prefix), show)
    }

    /// Puts all changes into the batch. They stay here until [`written`](Rows::written).
    pub(crate) fn checkpoint(&self, batch: &mut Batch) {
        for (from, to) in &self.cut {
            batch.delete_range(from.clone(), to.clone());
        }
        for (key, value) in &self.changed {
            match value {
                Some(value) => batch.put(key.clone(), value.to_vec()),
                None => batch.delete(key.clone()),
            }
        }
    }

    /// The store has all changes.
    pub(crate) fn written(&mut self) {
        self.changed.clear();
        self.cut.clear();
        self.changed_bytes = 0;
    }

    fn is_cut(&self, key: &[u8]) -> bool {
        self.cut_from(key).is_some()
    }

    fn cut_from(&self, key: &[u8]) -> Option<&[u8]> {
        let range = (Bound::Unbounded, Bound::Included(key));
        let (from, to) = self.cut.range::<[u8], _>(range).next_back()?;
        (key < to.as_slice()).then_some(from.as_slice())
    }
}
