//! Exposed labels to those of a series: what a family says of itself, and the labels of the target.

use crate::expfmt::SeriesError;
use crate::model::{Labels, LabelsBuf, MetricType, TYPE_LABEL, UNIT_LABEL};

/// Makes labels of what a family says of itself; they replace those of the target. What it does not say leaves them.
pub(super) fn set_type_and_unit(
    buffer: &mut LabelsBuf,
    kind: MetricType,
    unit: &[u8],
) -> Result<(), SeriesError> {
    if kind != MetricType::Unknown {
        buffer.set(TYPE_LABEL, kind.name());
    }
    if !unit.is_empty() {
        buffer.set(UNIT_LABEL, std::str::from_utf8(unit).map_err(|_| SeriesError::Utf8)?);
    }
    Ok(())
}

/// Adds the labels of the target; where both have one, `honor` says who wins. An exposed label that is empty wins as any
/// other, so that a gateway can say that a series has none.
pub(super) fn merge(buffer: &mut LabelsBuf, target: &Labels, honor: bool) {
    if !honor {
        buffer.drop_empty();
    }
    let mut conflicts: Vec<(String, String)> = Vec::new();
    for (name, value) in target {
        match buffer.get(name) {
            Some(_) if honor => {}
            Some(exposed) => {
                conflicts.push((name.to_owned(), exposed.to_owned()));
                buffer.set(name, value);
            }
            None => buffer.set(name, value),
        }
    }
    // Shortest first, so that `a` cannot take the name that `exported_a` must move to.
    conflicts.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicts {
        let mut moved = format!("exported_{name}");
        while buffer.get(&moved).is_some() {
            moved.insert_str(0, "exported_");
        }
        buffer.set(&moved, &value);
    }
    buffer.drop_empty();
}
