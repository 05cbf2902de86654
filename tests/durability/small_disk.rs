//! A disk that fills up while a block is written, at ten points of its life, on a real small file system: the writer
//! gives an error and goes on living, and the next block is written once there is room.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use emberkeep::tsdb::Result;
use emberkeep::tsdb::store::sled::SledStore;
use emberkeep::tsdb::store::{BlockId, BlockStore, ValueDigest, keys};

use crate::full_disk::Mount;
use crate::support::Random;
use crate::support::server::PATIENCE;

const VALUES: u32 = 200;
const VALUE_BYTES: usize = 20_000;

/// Fills the disk but for `left` bytes.
fn fill(root: &Path, left: u64) -> std::path::PathBuf {
    let path = root.join("filler");
    let mut file = std::fs::File::create(&path).expect("create");
    let block = vec![0u8; 4096];
    while file.write_all(&block).is_ok() {}
    let full = file.metadata().expect("size").len();
    file.set_len(full.saturating_sub(left)).expect("cut");
    path
}

fn write(store: &SledStore, id: &BlockId) -> Result<ValueDigest> {
    let mut random = Random::new(7);
    let mut writer = store.begin(id)?;
    for number in 0..VALUES {
        let payload: Vec<u8> = (0..VALUE_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect();
        writer.put(&keys::bundle(number), &payload)?;
    }
    let digest = writer.digest();
    writer.publish(b"the meta record").map(|()| digest)
}

/// Runs `work` on a thread of its own; fails when that hangs.
fn with_patience<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(work());
    });
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what}: the thread hangs"))
}

#[test]
fn a_block_that_does_not_fit_is_an_error_and_no_thread_hangs() {
    for left in [0, 16, 100, 400, 600, 1200, 2000, 3000, 3900, 4200u64] {
        let Some(mount) = Mount::new(12) else {
            println!("skipped: this test mounts a small file system, which this user may not");
            return;
        };
        let store = Arc::new(SledStore::new(&mount.0.path().join("blocks")).expect("store"));
        let before = BlockId::new(0, 1, 1);
        let digest = write(&store, &before).expect("there is room");
        let mut failed = 0;
        for round in 0..5 {
            let what = format!("{left} KiB, round {round}");
            let filler = fill(mount.0.path(), left << 10);
            let id = BlockId::new(1, 2, round);
            let (shared, tried) = (Arc::clone(&store), id.clone());
            match with_patience(&what, move || write(&shared, &tried)) {
                // Just enough.
                Ok(found) => assert_eq!(found, digest, "{what}"),
                Err(error) => {
                    failed += 1;
                    assert!(!error.is_damage(), "{what}: {error}");
                }
            }
            let shared = Arc::clone(&store);
            let read = with_patience(&what, move || shared.verify(&before_id()));
            assert_eq!(
                read.unwrap_or_else(|error| panic!("{what}: {error}")),
                digest,
                "what was there is read"
            );
            store.remove(&id).expect("remove");
            std::fs::remove_file(&filler).expect("remove");
            let again = BlockId::new(2, 3, round);
            let (shared, tried) = (Arc::clone(&store), again.clone());
            let written = with_patience(&what, move || write(&shared, &tried));
            assert_eq!(written.unwrap_or_else(|error| panic!("{what}: {error}")), digest, "{what}");
            store.remove(&again).expect("remove");
        }
        assert!(failed == 5 || left > 3500, "{left} KiB: {failed}");
    }
}

fn before_id() -> BlockId {
    BlockId::new(0, 1, 1)
}
