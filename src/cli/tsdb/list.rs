//! `tsdb list` and `tsdb verify`: what blocks there are, and whether they are sound.

use super::{Dir, Failure, look_at, output, tell_missing};
use crate::tsdb::Beside;

pub(super) fn list(dir: &Dir) -> Result<(), Failure> {
    let db = look_at(&dir.path, Beside::Server)?;
    let head = ["block", "start", "end", "level", "series", "samples", "bytes", "bytes/sample"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let status = db.status();
    for block in &status.blocks {
        let bytes = db.block_size_bytes(&block.id);
        rows.push(vec![
            block.id.to_string(),
            output::time(block.start),
            output::time(block.end),
            block.level.to_string(),
            block.series.to_string(),
            block.samples.to_string(),
            bytes.to_string(),
            format!("{:.2}", bytes as f64 / (block.samples.max(1)) as f64),
        ]);
    }
    output::table(&rows);
    let stats = db.head().stats();
    let range = stats.time_range.map_or_else(
        || "empty".to_owned(),
        |range| format!("{} to {}", output::time(range.start), output::time(range.end)),
    );
    output::line(&format!("head: {} series, {} chunks, {range}", stats.series, stats.chunks));
    Ok(db.close()?)
}

pub(super) fn verify(dir: &Dir) -> Result<(), Failure> {
    let db = look_at(&dir.path, Beside::Server)?;
    let status = db.status();
    let mut damaged = status.corruptions + tell_missing(&db);
    for place in db.log_damage() {
        output::error(&format!(
            "the write-ahead log is damaged: {} at byte {}, {} bytes cannot be read: {}",
            place.file, place.offset, place.lost_bytes, place.cause
        ));
    }
    let bar = output::progress(status.blocks.len() as u64, "blocks");
    for block in &status.blocks {
        match db.verify_block(block) {
            Ok(samples) => bar.suspend(|| output::line(&format!("{}: {samples} samples, sound", block.id))),
            Err(error) => {
                damaged += 1;
                bar.suspend(|| output::error(&error.to_string()));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    db.close()?;
    if damaged > 0 { Err(format!("{damaged} damaged parts").into()) } else { Ok(()) }
}
