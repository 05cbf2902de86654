//! Files of targets that come, change and go.

use std::collections::BTreeSet;

use super::*;

struct Setup {
    dir: tempfile::TempDir,
    files: Files,
    found: std::collections::BTreeMap<String, TargetGroup>,
}

impl Setup {
    fn new(patterns: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let patterns =
            patterns.iter().map(|p| dir.path().join(p).to_string_lossy().into_owned()).collect::<Vec<_>>();
        let files = Files {
            patterns,
            metrics: DiscoveryMetrics::default(),
            known: BTreeMap::new(),
            folder_faults: Vec::new(),
        };
        Self { dir, files, found: BTreeMap::new() }
    }

    fn write(&self, name: &str, text: &str) {
        // A new file takes the place of the old one, so that its stamp is another one however fast that is.
        let new = self.dir.path().join("new");
        std::fs::write(&new, text).expect("write");
        std::fs::rename(new, self.dir.path().join(name)).expect("rename");
    }

    /// Looks at the files; whether any was read.
    fn look(&mut self, all: bool) -> bool {
        let changes = self.files.look(all);
        self.found.extend(changes.groups.into_iter().map(|group| (group.source.clone(), group)));
        if changes.is_read {
            self.found.retain(|source, _| self.files.has(source));
        }
        changes.is_read
    }

    fn addresses(&self) -> BTreeSet<&str> {
        let targets = self.found.values().flat_map(|group| &group.targets);
        targets.filter_map(|target| target.get("__address__")).collect()
    }

    fn faults(&self) -> Vec<&str> {
        self.files.known.values().filter_map(|file| file.fault.as_deref()).collect()
    }
}

#[test]
fn files_that_come_change_and_go_are_followed() {
    let mut it = Setup::new(&["*.yml", "b.json", "a.yml"]);
    assert!(it.look(true), "that there is none is known, too");
    assert!(!it.look(false));
    it.write("a.yml", "- targets: [one]\n  labels: {x: y}\n- targets: [two]\n");
    it.write("b.json", r#"[{"targets": ["three"]}]"#);
    it.write("other.txt", "- targets: [no]\n");
    assert!(it.look(false));
    assert_eq!(it.addresses(), BTreeSet::from(["one", "two", "three"]));
    let path = it.dir.path().join("a.yml").display().to_string();
    let group = &it.found[&format!("{path}:0")];
    assert_eq!(
        (group.labels.get("__meta_filepath"), group.labels.get("x")),
        (Some(path.as_str()), Some("y"))
    );
    assert!(!it.look(false), "nothing has changed");
    // A file with fewer groups takes those away that it had more.
    it.write("a.yml", "- targets: [four]\n");
    assert!(it.look(false));
    assert_eq!(it.addresses(), BTreeSet::from(["three", "four"]));
    std::fs::remove_file(it.dir.path().join("b.json")).expect("remove");
    assert!(it.look(false));
    assert_eq!(it.addresses(), BTreeSet::from(["four"]));
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_targets() {
    let mut it = Setup::new(&["*.yml"]);
    it.write("a.yml", "- targets: [one]\n- targets: [two]\n");
    it.write("b.yml", "- targets: [three]\n");
    it.look(false);
    it.write("a.yml", "- targets: [four\n");
    it.look(false);
    assert_eq!(it.addresses(), BTreeSet::from(["one", "two", "three"]));
    assert!(it.faults()[0].contains("a.yml"), "{:?}", it.faults());
    assert_eq!(it.files.metrics.file_read_errors.get(), 1);
    it.write("a.yml", "- targets: [four]\n");
    it.look(false);
    assert_eq!((it.addresses(), it.faults()), (BTreeSet::from(["three", "four"]), vec![]));
}

#[test]
fn groups_from_before_stay_until_their_file_can_be_read() {
    let mut it = Setup::new(&["*.yml"]);
    it.write("a.yml", "- targets: [one]\n- targets: [two]\n- targets: [three]\n");
    it.write("b.yml", "- targets: [gone]\n");
    it.look(true);
    it.write("a.yml", "- targets: [one\n");
    std::fs::remove_file(it.dir.path().join("b.yml")).expect("remove");
    // As after a reload that changes the section.
    it.files.known = BTreeMap::new();
    it.look(true);
    assert_eq!(it.addresses(), BTreeSet::from(["one", "two", "three"]));
    it.write("a.yml", "- targets: [new]\n");
    it.look(false);
    assert_eq!(it.addresses(), BTreeSet::from(["new"]));
    std::fs::remove_file(it.dir.path().join("a.yml")).expect("remove");
    it.look(false);
    assert_eq!(it.addresses(), BTreeSet::new());
}

#[test]
fn a_link_that_is_turned_over_is_a_change() {
    let mut it = Setup::new(&["t/*.yml"]);
    let dir = it.dir.path().to_owned();
    for (name, text) in [("one", "- targets: [one]\n"), ("two", "- targets: [two]\n")] {
        std::fs::create_dir(dir.join(name)).expect("a folder");
        std::fs::write(dir.join(name).join("t.yml"), text).expect("write");
    }
    std::os::unix::fs::symlink("one", dir.join("t")).expect("link");
    it.look(false);
    assert_eq!(it.addresses(), BTreeSet::from(["one"]));
    std::os::unix::fs::symlink("two", dir.join("new")).expect("link");
    std::fs::rename(dir.join("new"), dir.join("t")).expect("rename");
    it.look(false);
    assert_eq!(it.addresses(), BTreeSet::from(["two"]));
}

#[test]
fn the_time_of_each_file_is_told_as_long_as_it_is_there() {
    let mut registry = crate::telemetry::Registry::default();
    let mut it = Setup::new(&["*.yml"]);
    it.files.metrics = DiscoveryMetrics::new(&mut registry);
    let told = || {
        let text = crate::telemetry::metrics::encode(&registry);
        let lines = text.lines().filter(|line| line.starts_with("prometheus_sd_file_mtime_seconds{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    it.write("a.yml", "- targets: [one]\n");
    it.look(false);
    let path = it.dir.path().join("a.yml");
    let modified = std::fs::metadata(&path).and_then(|file| file.modified()).expect("a time");
    let seconds = modified.duration_since(std::time::UNIX_EPOCH).expect("after that").as_secs();
    let [line] = &told()[..] else { panic!("one file: {:?}", told()) };
    assert!(
        line.starts_with(&format!("prometheus_sd_file_mtime_seconds{{filename=\"{}\"}} ", path.display())),
        "{line}"
    );
    let shown: f64 = line.rsplit(' ').next().and_then(|text| text.parse().ok()).expect("a number");
    assert!((shown - seconds as f64).abs() < 1.5, "{line} is not {seconds}");
    std::fs::remove_file(path).expect("remove");
    it.look(false);
    assert!(told().is_empty());
}
