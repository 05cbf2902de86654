//! No file imports itself by way of others: the graph of source files has no circles.
//!
//! A path is followed through re-exports to the file that declares the item; only that file counts as imported.
//! A parent that declares a module does not import it, and tests may import what they like.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use syn::visit::{self, Visit};

use crate::sources;

/// What a name of a module stands for.
#[derive(Clone)]
enum Name {
    /// Something the file itself declares.
    Item,
    /// A module below this one.
    Module,
    /// The path that a `use` gave the name to.
    Alias(Vec<String>),
}

/// One module: where it is, what its names stand for, and the paths that its code uses.
#[derive(Default)]
struct Module {
    file: String,
    names: BTreeMap<String, Vec<Name>>,
    globs: Vec<Vec<String>>,
    used: Vec<Vec<String>>,
}

type Key = Vec<String>;
/// File to imported file to the name of an item that is imported.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// The modules of a crate, by their paths.
#[derive(Default)]
struct Modules(BTreeMap<Key, Module>);

impl Modules {
    /// Reads the module `key` from `file` and everything below it.
    fn read(&mut self, files: &BTreeMap<String, String>, key: &Key, file: &str) {
        let parsed = syn::parse_file(&files[file]).unwrap_or_else(|e| panic!("{file}: {e}"));
        self.add(files, key, file, &parsed.items);
    }

    fn add(&mut self, files: &BTreeMap<String, String>, key: &Key, file: &str, items: &[syn::Item]) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items.iter().filter(|i| !is_test(attributes(i))) {
            if let syn::Item::Mod(below) = item {
                let name = below.ident.to_string();
                let inner: Key = key.iter().cloned().chain([name.clone()]).collect();
                if let Some((_, items)) = &below.content {
                    self.add(files, &inner, file, items);
                } else {
                    let path = inner.join("/");
                    let flat = format!("src/{path}.rs");
                    let of_folder = format!("src/{path}/mod.rs");
                    let file = if files.contains_key(&flat) { flat } else { of_folder };
                    self.read(files, &inner, &file);
                }
                module.names.entry(name).or_default().push(Name::Module);
                continue;
            }
            if let Some(name) = declared(item) {
                module.names.entry(name).or_default().push(Name::Item);
            }
            if let syn::Item::Use(import) = item {
                let reexport = !matches!(import.vis, syn::Visibility::Inherited);
                module.import(&import.tree, &mut Vec::new(), reexport);
            }
            Paths(&mut module).visit_item(item);
        }
        self.0.insert(key.clone(), module);
    }

    /// The file that declares what `path` means inside the module `from`.
    fn declares(
        &self,
        from: &Key,
        path: &[String],
        seen: &mut BTreeSet<(Key, Vec<String>)>,
    ) -> Option<String> {
        if !seen.insert((from.clone(), path.to_vec())) {
            return None;
        }
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => return self.declares(&Vec::new(), rest, seen),
            "self" => return self.declares(from, rest, seen),
            "super" => return self.declares(&from[..from.len().checked_sub(1)?].to_vec(), rest, seen),
            _ => {}
        }
        let module = self.0.get(from)?;
        for name in module.names.get(first).into_iter().flatten() {
            let found = match name {
                Name::Item => Some(module.file.clone()),
                Name::Module => {
                    let below = from.iter().cloned().chain([first.clone()]).collect();
                    self.declares(&below, rest, seen)
                }
                // A name that a crate has too, as in `use crc32c::crc32c`.
                Name::Alias(target) if target.first() == Some(first) => None,
                Name::Alias(target) => {
                    let whole: Vec<String> = target.iter().chain(rest).cloned().collect();
                    self.declares(from, &whole, seen)
                }
            };
            if found.is_some() {
                return found;
            }
        }
        module.globs.iter().find_map(|target| {
            let whole: Vec<String> = target.iter().chain(path).cloned().collect();
            self.declares(from, &whole, seen)
        })
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for (key, module) in &self.0 {
            let imports = graph.entry(module.file.clone()).or_default();
            for path in &module.used {
                if let Some(file) = self.declares(key, path, &mut BTreeSet::new())
                    && file != module.file
                {
                    imports.entry(file).or_insert_with(|| path.join("::"));
                }
            }
        }
        graph
    }
}

impl Module {
    /// Notes what a `use` brings in; a re-export passes the item on and is no use of it.
    fn import(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>, reexport: bool) {
        let named = |module: &mut Self, name: String, last: String| {
            let mut path = prefix.clone();
            if last != "self" {
                path.push(last);
            }
            if !reexport {
                module.used.push(path.clone());
            }
            if path.first() != Some(&name) || path.len() > 1 {
                module.names.entry(name).or_default().push(Name::Alias(path));
            }
        };
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.import(&path.tree, prefix, reexport);
                prefix.pop();
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let own = prefix.last().cloned().unwrap_or_default();
                named(self, own, "self".to_owned());
            }
            syn::UseTree::Name(name) => named(self, name.ident.to_string(), name.ident.to_string()),
            syn::UseTree::Rename(rename) => named(self, rename.rename.to_string(), rename.ident.to_string()),
            syn::UseTree::Glob(_) => self.globs.push(prefix.clone()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|t| self.import(t, prefix, reexport)),
        }
    }
}

/// Collects the paths in the code of a module.
struct Paths<'a>(&'a mut Module);

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.0.used.push(path.segments.iter().map(|s| s.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let tokens = called.tokens.to_string().replace(" :: ", "::");
        let words = tokens.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        for word in words.filter(|w| w.contains("::") && !w.starts_with(':')) {
            self.0.used.push(word.split("::").map(str::to_owned).collect());
        }
        visit::visit_macro(self, called);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(f) => &f.attrs,
            syn::ImplItem::Const(c) => &c.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes
        .iter()
        .any(|a| a.path().is_ident("cfg") && a.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test")))
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(i) => &i.attrs,
        syn::Item::Fn(i) => &i.attrs,
        syn::Item::Impl(i) => &i.attrs,
        syn::Item::Mod(i) => &i.attrs,
        syn::Item::Static(i) => &i.attrs,
        syn::Item::Struct(i) => &i.attrs,
        syn::Item::Enum(i) => &i.attrs,
        syn::Item::Trait(i) => &i.attrs,
        syn::Item::Type(i) => &i.attrs,
        syn::Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

fn declared(item: &syn::Item) -> Option<String> {
    Some(match item {
        syn::Item::Const(i) => i.ident.to_string(),
        syn::Item::Enum(i) => i.ident.to_string(),
        syn::Item::Fn(i) => i.sig.ident.to_string(),
        syn::Item::Macro(i) => i.ident.as_ref()?.to_string(),
        syn::Item::Static(i) => i.ident.to_string(),
        syn::Item::Struct(i) => i.ident.to_string(),
        syn::Item::Trait(i) => i.ident.to_string(),
        syn::Item::Type(i) => i.ident.to_string(),
        _ => return None,
    })
}

/// The shortest way from `from` to `to`, both ends included.
fn way(graph: &Graph, from: &str, to: &str) -> Option<Vec<String>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        if at == to {
            let mut way = vec![at.to_owned()];
            let mut at = at;
            while let Some(earlier) = before.get(at).filter(|_| at != from) {
                way.push((*earlier).to_owned());
                at = earlier;
            }
            way.reverse();
            return Some(way);
        }
        for next in graph.get(at).into_iter().flat_map(BTreeMap::keys) {
            if next != from && !before.contains_key(next.as_str()) {
                before.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    None
}

/// The shortest circle through each import that lies on one, told once, with what is imported at each step.
fn circles(files: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut modules = Modules::default();
    modules.read(files, &Key::new(), "src/lib.rs");
    let graph = modules.graph();
    let mut found = BTreeSet::new();
    for (file, imports) in &graph {
        for imported in imports.keys() {
            let Some(mut circle) = way(&graph, imported, file) else { continue };
            let first = circle.iter().enumerate().min_by_key(|(_, f)| *f).map_or(0, |(at, _)| at);
            circle.rotate_left(first);
            let mut told = circle[0].clone();
            for (at, next) in circle.iter().cycle().skip(1).take(circle.len()).enumerate() {
                let items = &graph[&circle[at]][next];
                let _ = write!(told, " -> {next} ({items})");
            }
            found.insert(told);
        }
    }
    found
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let found = circles(&sources(&["src"], "rs").into_iter().collect());
    assert!(found.is_empty(), "{} circles between files: {found:#?}", found.len());
}

/// A crate of a few files, and what is told of its circles.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    circles(&files.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect()).into_iter().collect()
}

#[test]
fn a_circle_is_found_through_re_exports_and_told_with_its_items() {
    let files = [
        ("src/lib.rs", "mod a; mod b;"),
        ("src/a/mod.rs", "mod inner; pub use inner::Thing;"),
        ("src/a/inner.rs", "pub struct Thing; fn f() { crate::b::go() }"),
        ("src/b.rs", "use crate::a::Thing; pub fn go() {}"),
    ];
    assert_eq!(
        circles_of(&files),
        ["src/a/inner.rs -> src/b.rs (crate::b::go) -> src/a/inner.rs (crate::a::Thing)"]
    );
}

#[test]
fn a_child_that_uses_its_parent_which_uses_the_child_is_a_circle() {
    let parent = "mod inner; use inner::Thing; pub const N: usize = 1;";
    let files = [
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", parent),
        ("src/a/inner.rs", "use super::N; pub struct Thing;"),
    ];
    assert_eq!(
        circles_of(&files),
        ["src/a/inner.rs -> src/a/mod.rs (super::N) -> src/a/inner.rs (inner::Thing)"]
    );
}

#[test]
fn declaring_re_exporting_and_testing_are_no_imports() {
    let parent = "mod inner; pub use inner::Thing; pub const N: usize = 1;";
    let inner = "use super::N; pub struct Thing; #[cfg(test)] mod tests { use crate::b::go; }";
    let files = [
        ("src/lib.rs", "mod a; mod b;"),
        ("src/a/mod.rs", parent),
        ("src/a/inner.rs", inner),
        ("src/b.rs", "use crate::a::*; pub fn go(_: Thing) {}"),
    ];
    assert_eq!(circles_of(&files), Vec::<String>::new());
}
