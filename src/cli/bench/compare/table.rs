//! The rows that are compared, their goals, and the Markdown table of what was measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::server::Kind;

/// One measured thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    WriteCpu,
    WriteRate,
    WriteMemory,
    WriteRestart,
    DayCpu,
    DayDisk,
    /// Over so many hours.
    DayQueries(Manner, u8),
    ScrapeCpu,
    ScrapeMemory,
    MillionCpu,
    MillionMemory,
    MillionRestart,
    MillionCount,
    MonthCpu,
    MonthDisk,
    MonthRestart,
    /// Over so many days.
    MonthQueries(Manner, u8),
    RulesCpu,
    RulesMemory,
}

/// How the same queries are asked several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Manner {
    /// Servers may not use what they remember.
    Fresh,
    /// Each a step later than the one before, as a graph does that refreshes.
    Moving,
    /// Exactly the same.
    Again,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    work: Work,
    what: &'static str,
    unit: &'static str,
    digits: usize,
    /// What Emberkeep should reach, as a share of the better of the others.
    goal: Option<f64>,
    more_is_better: bool,
}

const fn row(work: Work, what: &'static str, unit: &'static str, digits: usize, goal: Option<f64>) -> Row {
    Row { work, what, unit, digits, goal, more_is_better: false }
}

const fn queries(work: Work, what: &'static str) -> Row {
    row(work, what, "ms", 2, Some(0.35))
}

/// All rows. Sizes are in the texts; a quick run is smaller and says so above the table.
pub(super) const ROWS: &[Row] = &[
    row(
        Work::WriteCpu,
        "remote write, 59,800 series, bodies of 2,000 series with 1 sample: server CPU per sample",
        "us",
        2,
        Some(0.40),
    ),
    Row {
        more_is_better: true,
        ..row(Work::WriteRate, "the same: samples per second accepted", "M", 2, Some(2.0))
    },
    row(
        Work::WriteMemory,
        "the same after 1 h of data: resident memory per active series",
        "KB",
        2,
        Some(0.28),
    ),
    row(
        Work::WriteRestart,
        "the same after kill -9: answering with 14 M samples not in blocks",
        "s",
        2,
        None,
    ),
    row(
        Work::DayCpu,
        "remote write, 24 h of 11,960 series, 20 samples a series and body: server CPU per sample",
        "us",
        2,
        Some(0.40),
    ),
    row(
        Work::DayDisk,
        "the same: disk per sample, everything in the data directory, at rest",
        "B",
        2,
        Some(0.40),
    ),
    queries(
        Work::DayQueries(Manner::Again, 1),
        "the same: 18 dashboard queries over 1 h, asked again, geometric mean",
    ),
    queries(Work::DayQueries(Manner::Again, 6), "the same over 6 h"),
    queries(Work::DayQueries(Manner::Again, 24), "the same over 24 h"),
    queries(Work::DayQueries(Manner::Moving, 1), "asked again a step later, over 1 h"),
    queries(Work::DayQueries(Manner::Moving, 6), "the same over 6 h"),
    queries(Work::DayQueries(Manner::Moving, 24), "the same over 24 h"),
    queries(Work::DayQueries(Manner::Fresh, 1), "asked with `nocache=1`, over 1 h"),
    queries(Work::DayQueries(Manner::Fresh, 6), "the same over 6 h"),
    queries(Work::DayQueries(Manner::Fresh, 24), "the same over 24 h"),
    row(
        Work::ScrapeCpu,
        "scraping 300 targets of 598 series every 5 s, gzip: server CPU per sample",
        "us",
        2,
        Some(0.20),
    ),
    row(Work::ScrapeMemory, "the same: resident memory per series", "KB", 2, Some(0.55)),
    row(
        Work::MillionCpu,
        "remote write, a million series, 24 samples each in bodies of 1 sample: server CPU per sample",
        "us",
        2,
        Some(0.40),
    ),
    row(Work::MillionMemory, "the same: resident memory per series", "KB", 2, Some(0.60)),
    row(Work::MillionRestart, "the same after kill -9: answering", "s", 2, None),
    row(Work::MillionCount, "the same: then `count({job=\"node\"})`", "s", 2, Some(0.20)),
    row(
        Work::MonthCpu,
        "remote write, 30 days of 1,196 series, 60 samples a series and body: server CPU per sample",
        "us",
        2,
        Some(0.40),
    ),
    row(Work::MonthDisk, "the same: disk per sample at rest", "B", 2, Some(0.35)),
    row(Work::MonthRestart, "the same: answering after a clean restart", "s", 2, None),
    queries(
        Work::MonthQueries(Manner::Again, 7),
        "the same: 18 dashboard queries over 7 d, asked again, geometric mean",
    ),
    queries(Work::MonthQueries(Manner::Again, 30), "the same over 30 d"),
    queries(Work::MonthQueries(Manner::Moving, 7), "asked again a step later, over 7 d"),
    queries(Work::MonthQueries(Manner::Moving, 30), "the same over 30 d"),
    queries(Work::MonthQueries(Manner::Fresh, 7), "asked with `nocache=1`, over 7 d"),
    queries(Work::MonthQueries(Manner::Fresh, 30), "the same over 30 d"),
    row(
        Work::RulesCpu,
        "10,000 rules in 500 groups over 100,464 series, scraped and evaluated every 15 s: server CPU",
        "cores",
        3,
        Some(0.33),
    ),
    row(Work::RulesMemory, "the same: resident memory", "MiB", 0, Some(0.5)),
];

/// A measured figure, in the unit of its row, and what has to be said with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) value: f64,
    pub(super) note: Option<String>,
}

/// What was measured of one server.
#[derive(Debug, Default)]
pub(super) struct Column(BTreeMap<Work, Cell>);

impl Column {
    pub(super) fn set(&mut self, work: Work, value: f64) {
        self.0.insert(work, Cell { value, note: None });
    }

    pub(super) fn set_with_note(&mut self, work: Work, value: f64, note: Option<String>) {
        self.0.insert(work, Cell { value, note });
    }

    /// Figures by the text of their row.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let cells = ROWS.iter().filter_map(|row| {
            let cell = self.0.get(&row.work)?;
            let mut value = serde_json::json!({ "value": cell.value, "unit": row.unit });
            if let Some(note) = &cell.note {
                value["note"] = note.as_str().into();
            }
            Some((format!("{:?}", row.work), value))
        });
        serde_json::Value::Object(cells.collect())
    }
}

/// The table as Markdown: the rows that any server has, a column for each.
pub(super) fn markdown(columns: &[(Kind, Column)]) -> String {
    let names: Vec<&str> = columns.iter().map(|(kind, _)| kind.name()).collect();
    let mut out = format!("| work | {} | share of the better | goal |\n", names.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(names.len() + 3));
    for row in ROWS {
        if columns.iter().all(|(_, column)| !column.0.contains_key(&row.work)) {
            continue;
        }
        let cells = columns.iter().map(|(_, column)| {
            column.0.get(&row.work).map_or_else(
                || "-".to_owned(),
                |cell| {
                    let note = cell.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
                    format!("{:.*} {}{note}", row.digits, cell.value, row.unit)
                },
            )
        });
        let cells: Vec<String> = cells.collect();
        let share = row.share(columns).map_or_else(|| "-".to_owned(), |share| format!("{share:.2}"));
        let goal = row.goal.map_or_else(|| "-".to_owned(), |goal| format!("{goal:.2}"));
        let _ = writeln!(out, "| {} | {} | {share} | {goal} |", row.what, cells.join(" | "));
    }
    out
}

impl Row {
    /// Emberkeep's figure as a share of the better of the others.
    fn share(&self, columns: &[(Kind, Column)]) -> Option<f64> {
        let of = |own: bool| {
            let chosen = columns.iter().filter(move |(kind, _)| (*kind == Kind::Emberkeep) == own);
            chosen.filter_map(|(_, column)| column.0.get(&self.work).map(|cell| cell.value))
        };
        let own = of(true).next()?;
        let better =
            if self.more_is_better { of(false).reduce(f64::max) } else { of(false).reduce(f64::min) };
        better.map(|better| own / better)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_what_was_measured_and_the_share_of_the_better() {
        let mut columns =
            [Kind::Prometheus, Kind::VictoriaMetrics, Kind::Emberkeep].map(|kind| (kind, Column::default()));
        for ((_, column), (cpu, rate)) in columns.iter_mut().zip([(2.0, 1.0), (0.9, 2.0), (0.45, 3.0)]) {
            column.set(Work::WriteCpu, cpu);
            column.set(Work::WriteRate, rate);
        }
        columns[1].1.set_with_note(Work::WriteRestart, 0.04, Some("51% of the samples".to_owned()));
        let text = markdown(&columns);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "| work | Prometheus | VictoriaMetrics | Emberkeep | share of the better | goal |"
        );
        assert!(lines[2].ends_with("| 2.00 us | 0.90 us | 0.45 us | 0.50 | 0.40 |"), "{}", lines[2]);
        assert!(lines[3].ends_with("| 1.00 M | 2.00 M | 3.00 M | 1.50 | 2.00 |"), "{}", lines[3]);
        assert!(lines[4].ends_with("| - | 0.04 s (51% of the samples) | - | - | - |"), "{}", lines[4]);
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn every_work_has_one_row() {
        let mut works: Vec<Work> = ROWS.iter().map(|row| row.work).collect();
        works.sort_unstable();
        works.dedup();
        assert_eq!(works.len(), ROWS.len());
    }
}
