//! `tsdb repair`: make a damaged data directory usable, and say what was lost.

use super::{Dir, Failure, has_catalog, open, output, tell_missing};

pub(super) fn run(dir: &Dir) -> Result<(), Failure> {
    let had_catalog = has_catalog(&dir.path);
    // Opening reads the log up to its damage, and makes a catalog of the blocks where there is none.
    let db = open(&dir.path)?;
    let status = db.status();
    if !had_catalog && !status.blocks.is_empty() {
        output::line(&format!("the catalog was missing, it is made again of {} blocks", status.blocks.len()));
    }
    let bar = output::progress(status.blocks.len() as u64, "blocks");
    let mut damaged = Vec::new();
    for block in &status.blocks {
        if let Err(error) = db.verify_block(block) {
            bar.suspend(|| output::line(&error.to_string()));
            damaged.push(block);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    for place in db.log_damage() {
        let time = |ms: Option<i64>, open: &str| ms.map_or_else(|| open.to_owned(), output::time);
        output::line(&format!(
            "the log was cut off in {} at byte {}, {} bytes are kept aside: samples between {} and {} may be lost",
            place.file,
            place.offset,
            place.lost_bytes,
            time(place.after, "its beginning"),
            time(place.before, "its end"),
        ));
    }
    // Those whose meta record could not be read when the catalog was made again.
    let mut set_aside = status.set_aside;
    if set_aside > 0 {
        output::line(&format!("set aside {set_aside} blocks while the catalog was made again"));
    }
    for block in damaged {
        if db.set_aside(block)? {
            set_aside += 1;
            output::line(&format!(
                "set aside {}: {} samples from {} to {} are lost",
                block.id,
                block.samples,
                output::time(block.start),
                output::time(block.end)
            ));
        } else {
            output::error(&format!("{} could not be read, but shows no damage: it stays", block.id));
        }
    }
    let left = db.status().blocks.len();
    output::line(&format!("{left} blocks are sound, {set_aside} were set aside"));
    let missing = tell_missing(&db);
    if missing > 0 {
        db.forget_missing()?;
    }
    db.close()?;
    if status.tombstones_lost {
        return Err("both copies of the tombstones were damaged and are set aside: what was deleted from blocks that were not rewritten since is there again, delete it once more".into());
    }
    if missing > 0 {
        return Err(format!("{missing} blocks are lost; the catalog no longer names them").into());
    }
    Ok(())
}
