//! Tests of the store: what is published, what it takes on disk, what stays open, damage.

use super::*;

/// With small batches, so that their borders are common.
fn small_store(dir: &Path) -> SledStore {
    SledStore {
        bounds: Bounds { batch_bytes: 64 << 10, touched_bytes: 128 << 10 },
        ..SledStore::new(dir).expect("store")
    }
}

fn write(store: &SledStore, id: &BlockId) -> ValueDigest {
    let mut writer = store.begin(id).expect("begin");
    for number in 0..200u32 {
        let payload: Vec<u8> = (0..2000u32).map(|i| (i * number).to_le_bytes()[0]).collect();
        writer.put(&keys::bundle(number), &payload).expect("put");
    }
    let digest = writer.digest();
    writer.publish(b"the meta record").expect("publish");
    digest
}

#[test]
fn publishes_whole_blocks_only() {
    let dir = tempfile::tempdir().expect("dir");
    let store = small_store(dir.path());
    let id = BlockId::new(0, 7_200_000, 1);
    let digest = write(&store, &id);
    let block = store.open(&id).expect("open");
    assert_eq!(block.get(keys::META).expect("get").as_deref(), Some(&b"the meta record"[..]));
    assert_eq!(block.get(&keys::bundle(7)).expect("get").map(|v| v.len()), Some(2000));
    assert_eq!(block.get(&keys::bundle(200)).expect("get"), None);
    assert_eq!(store.verify(&id).expect("verify"), digest);
    drop(block);

    let unpublished = BlockId::new(7_200_000, 14_400_000, 2);
    let mut writer = store.begin(&unpublished).expect("begin");
    for number in 0..100 {
        writer.put(&keys::bundle(number), &[7; 2000]).expect("put");
    }
    assert!(dir.path().join(format!("{unpublished}{TEMPORARY}")).exists());
    // As a kill leaves it: no drop.
    std::mem::forget(writer);
    let store = small_store(dir.path());
    assert_eq!(store.recover().expect("recover").blocks, std::slice::from_ref(&id));
    assert!(store.open(&unpublished).is_err_and(|error| !error.is_damage()));
    assert!(store.size_bytes(&id) > 1000);
    store.remove(&id).expect("remove");
    assert_eq!(store.recover().expect("recover").blocks, []);
}

#[test]
fn databases_are_little_larger_than_what_they_hold() {
    let dir = tempfile::tempdir().expect("dir");
    let store = SledStore::new(dir.path()).expect("store");
    let mut state = 1u64;
    for (number, values, value_bytes, most) in
        [(1, 400, 12_000, 130), (2, 60, 10_000, 130), (3, 4, 5000, 400), (4, 40, 70_000, 140)]
    {
        let id = BlockId::new(0, 1, number);
        let mut writer = store.begin(&id).expect("begin");
        for key in 0..values {
            let mut payload = vec![0u8; value_bytes];
            for byte in &mut payload {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = state.to_be_bytes()[0];
            }
            writer.put(&keys::bundle(key), &payload).expect("put");
        }
        let payload = writer.digest().bytes;
        writer.publish(b"meta").expect("publish");
        let share = store.size_bytes(&id) * 100 / payload;
        assert!(share <= most, "{values} values of {value_bytes} bytes take {share} %");
    }
}

#[test]
fn what_was_read_does_not_stay_open_without_bound() {
    let dir = tempfile::tempdir().expect("dir");
    let store = small_store(dir.path());
    let ids: Vec<BlockId> = (0..20).map(|n| BlockId::new(n, n + 1, 1)).collect();
    ids.iter().for_each(|id| {
        write(&store, id);
    });
    let held = store.open(&ids[0]).expect("open");
    for id in &ids {
        let block = store.open(id).expect("open");
        assert_eq!(block.get(&keys::bundle(3)).expect("get").map(|v| v.len()), Some(2000));
    }
    assert!(lock(&store.open).blocks.len() <= MAX_OPEN);
    // The one in use was spared, so opening it again is no second open.
    assert!(Arc::ptr_eq(&held, &store.open(&ids[0]).expect("open")));
    // As if it had read more than all may keep: closed and opened again.
    drop(held);
    let first = lock(&store.open).blocks.iter().position(|block| block.id == ids[0]).expect("open");
    lock(&lock(&store.open).blocks[first].touched).bytes = store.bounds.touched_bytes + 1;
    let again = store.open(&ids[0]).expect("open");
    assert_eq!(again.get(&keys::bundle(3)).expect("get").map(|v| v.len()), Some(2000));
    let kept: usize = lock(&store.open).blocks.iter().map(|block| lock(&block.touched).bytes).sum();
    assert!(kept <= store.bounds.touched_bytes);
}

#[test]
fn damage_to_any_file_gives_the_right_data_or_an_error() {
    let dir = tempfile::tempdir().expect("dir");
    let store = small_store(dir.path());
    let id = BlockId::new(0, 7_200_000, 1);
    write(&store, &id);
    drop(store);
    let source = dir.path().join(id.as_str());
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for file in files_below(&source).expect("files") {
        let relative = file.strip_prefix(&source).expect("below").to_owned();
        for kind in 0..12 {
            let copy = tempfile::tempdir().expect("dir");
            let block_dir = copy.path().join(id.as_str());
            copy_dir(&source, &block_dir);
            let target = block_dir.join(&relative);
            let mut bytes = fs::read(&target).expect("read");
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(seed >> 33).expect("fits") % bytes.len().max(1);
            match kind % 3 {
                0 if !bytes.is_empty() => bytes[at] ^= 0x20,
                1 => bytes.truncate(at),
                _ => bytes.iter_mut().skip(at).take(4096).for_each(|b| *b = 0),
            }
            fs::write(&target, &bytes).expect("write");
            let store = SledStore::new(copy.path()).expect("store");
            let block = match store.open(&id) {
                Ok(block) => block,
                Err(error) => {
                    assert!(error.is_damage(), "{relative:?} {kind}: {error}");
                    continue;
                }
            };
            for number in 0..200u32 {
                let expected: Vec<u8> = (0..2000u32).map(|i| (i * number).to_le_bytes()[0]).collect();
                match block.get(&keys::bundle(number)) {
                    Ok(Some(value)) => assert_eq!(value, expected, "{relative:?} {kind}"),
                    Ok(None) => {
                        panic!("{relative:?} {kind}: bundle {number} is missing without an error")
                    }
                    Err(error) => assert!(error.is_damage(), "{relative:?} {kind}: {error}"),
                }
            }
        }
    }
}

fn copy_dir(from: &Path, to: &Path) {
    for folder in folders_below(from).expect("walk") {
        fs::create_dir_all(to.join(folder.strip_prefix(from).expect("below"))).expect("mkdir");
    }
    for file in files_below(from).expect("walk") {
        fs::copy(&file, to.join(file.strip_prefix(from).expect("below"))).expect("copy");
    }
}

#[test]
fn a_block_that_takes_long_to_open_keeps_no_other_waiting() {
    let dir = tempfile::tempdir().expect("dir");
    let store = small_store(dir.path());
    let (slow, other) = (BlockId::new(0, 7_200_000, 1), BlockId::new(7_200_000, 14_400_000, 2));
    write(&store, &slow);
    write(&store, &other);
    // Whoever opens this for reading waits for a writer.
    let file = dir.path().join(slow.as_str()).join("conf");
    fs::remove_file(&file).expect("remove");
    assert!(std::process::Command::new("mkfifo").arg(&file).status().expect("mkfifo").success());
    let patience = std::time::Duration::from_secs(60);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| store.open(&slow).map(|_| ()));
        let begin = std::time::Instant::now();
        while lock(&store.open).opening.is_empty() {
            assert!(begin.elapsed() < patience, "it was not opened");
            std::thread::yield_now();
        }
        let (sender, opened) = std::sync::mpsc::channel();
        let store = &store;
        let other = &other;
        scope.spawn(move || sender.send(store.verify(other).is_ok()));
        let opened = opened.recv_timeout(patience);
        let waits = !opening.is_finished();
        // Both ends, again and again until it has ended: whatever it waits for at the file, it goes on.
        while !opening.is_finished() {
            let _ends = fs::OpenOptions::new().read(true).write(true).open(&file);
            std::thread::yield_now();
        }
        assert!(waits, "it does not wait for the file");
        assert!(matches!(opened, Ok(true)), "it waits for the one that is slow");
    });
    assert!(lock(&store.open).opening.is_empty());
}

#[test]
fn verifying_keeps_little_of_a_block_in_memory() {
    let dir = tempfile::tempdir().expect("dir");
    let store = small_store(dir.path());
    let id = BlockId::new(0, 7_200_000, 1);
    let mut writer = store.begin(&id).expect("begin");
    for number in 0..400u32 {
        let payload: Vec<u8> = (0..2000u32).map(|i| (i * number).to_le_bytes()[0]).collect();
        writer.put(&keys::bundle(number), &payload).expect("put");
    }
    let digest = writer.digest();
    writer.publish(b"meta").expect("publish");
    assert_eq!(store.verify(&id).expect("verify"), digest);
    let open = lock(&store.open);
    let touched: usize = open.blocks.iter().map(|block| lock(&block.touched).bytes).sum();
    // Beyond the bound no more than what one look adds.
    assert!(touched < 3 * store.bounds.touched_bytes, "{touched}");
    assert!(digest.bytes > 6 * store.bounds.touched_bytes as u64, "{}", digest.bytes);
}
