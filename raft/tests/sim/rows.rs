//! Rows on the same disk.

use bytes::Bytes;
use mainstem_storage::{Batch, Rows, StateStore, StorageError};

use super::Disk;

impl StateStore for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.world().rows.get(key).cloned())
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let mut world = self.world();
        if world.step() {
            world.write(&batch);
            world.batches.push(batch);
        }
        Ok(())
    }

    fn rows(&self) -> Box<dyn Rows + '_> {
        let rows = self
            .world()
            .rows
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        Box::new(SimRows { rows, at: None })
    }

    fn flush(&self) -> Result<(), StorageError> {
        let mut world = self.world();
        if world.step() {
            let batches = std::mem::take(&mut world.batches);
            world.durable_batches.extend(batches);
        }
        Ok(())
    }
}

struct SimRows {
    rows: Vec<(Vec<u8>, Bytes)>,
    at: Option<usize>,
}

impl Rows for SimRows {
    fn current(&self) -> Option<(&[u8], &[u8])> {
        let (key, value) = self.rows.get(self.at?)?;
        Some((key, value))
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.at = self.rows.iter().position(|(k, _)| k.as_slice() >= key);
        Ok(())
    }

    fn seek_back(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.at = self.rows.iter().rposition(|(k, _)| k.as_slice() <= key);
        Ok(())
    }

    fn next(&mut self) -> Result<(), StorageError> {
        self.at = self.at.map(|at| at + 1);
        Ok(())
    }

    fn prev(&mut self) -> Result<(), StorageError> {
        self.at = self.at.and_then(|at| at.checked_sub(1));
        Ok(())
    }
}
