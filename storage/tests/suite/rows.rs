use mainstem_storage::Batch;

use super::*;

pub fn rows_are_written_and_ranged_over(mut store: Box<dyn Factory>) {
    let opened = store.open();
    let state = &*opened.state;
    let mut batch = Batch::default();
    for n in 0..100u8 {
        batch.put([1, n], [n]);
    }
    batch.delete([1, 50]);
    batch.delete_range([1, 60], [1, 70]);
    assert!(!batch.is_empty() && batch.bytes > 300);
    state.write(batch).unwrap();
    assert_eq!(state.get(&[1, 49]).unwrap(), Some(vec![49].into()));
    for gone in [50, 60, 69] {
        assert_eq!(state.get(&[1, gone]).unwrap(), None);
    }
    {
        let mut rows = state.rows();
        rows.seek(&[1, 50]).unwrap();
        assert_eq!(rows.current(), Some((&[1, 51][..], &[51][..])));
        let mut later = Batch::default();
        later.put([1, 52], "changed");
        state.write(later).unwrap();
        rows.next().unwrap();
        assert_eq!(rows.current(), Some((&[1, 52][..], &[52][..])));
        rows.seek_back(&[1, 69]).unwrap();
        assert_eq!(rows.current().unwrap().0, [1, 59]);
        rows.prev().unwrap();
        assert_eq!(rows.current().unwrap().0, [1, 58]);
        rows.seek(&[1, 99]).unwrap();
        rows.next().unwrap();
        assert_eq!(rows.current(), None);
        rows.next().unwrap();
        rows.seek_back(&[0]).unwrap();
        assert_eq!(rows.current(), None);
    }
    state.flush().unwrap();
    drop(opened);
    let opened = store.open();
    assert_eq!(opened.state.get(&[1, 52]).unwrap(), Some("changed".into()));
    assert_eq!(opened.state.get(&[1, 65]).unwrap(), None);
}
