//! Regular expressions: the engine over bytes, the program over characters and the short cuts agree.
//!
//! The input is an expression, a zero byte, and texts with zero bytes between them.
#![no_main]

use std::cell::OnceCell;

use emberkeep::model::{Anchored, RegexBudget};
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WITHOUT_ENGINES: OnceCell<RegexBudget> = const { OnceCell::new() };
}

/// A budget from which no engine comes: what follows is matched by characters.
fn without_engines() -> RegexBudget {
    let mut budget = RegexBudget::default();
    for _ in 0..1000 {
        Anchored::within("a", &mut budget).expect("small");
    }
    budget
}

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let mut parts = text.split('\0');
        let Some(source) = parts.next() else { return };
        within(128, || {
            let mut budget = WITHOUT_ENGINES.with(|kept| kept.get_or_init(without_engines).clone());
            let (by_bytes, by_characters) =
                match (Anchored::new(source), Anchored::within(source, &mut budget)) {
                    (Ok(a), Ok(b)) => (a, b),
                    (Err(_), Err(_)) => return,
                    (Ok(_), Err(error)) => {
                        assert!(error.to_string().contains("too large together"), "{source:?}: {error}");
                        return;
                    }
                    (Err(error), Ok(_)) => panic!("{source:?}: {error}"),
                };
            let literals = by_bytes.literals().unwrap_or_default().iter().map(String::as_str);
            for literal in literals.clone() {
                assert!(by_bytes.is_match(literal), "{source:?} on {literal:?}");
            }
            let prefix = by_bytes.prefix();
            let texts: Vec<&str> =
            parts.map(|text| -> &str { text }).chain(literals).chain(["", "a", "ab", "\n", "\u{e9}", prefix, source]).take(20).collect();
            for text in texts {
                let found = by_bytes.is_match(text);
                assert_eq!(by_characters.is_match(text), found, "{source:?} on {text:?}");
                let a = by_bytes.groups(text);
                let b = by_characters.groups(text);
                assert_eq!(a.is_some(), found, "{source:?} on {text:?} by the engine");
                assert_eq!(b.is_some(), found, "{source:?} on {text:?} by characters");
                assert!(!found || text.starts_with(prefix), "{source:?} on {text:?}: {prefix:?}");
                if by_bytes.literals().is_some() {
                    assert_eq!(by_bytes.literals().is_some_and(|all| all.iter().any(|l| l == text)), found);
                }
                if let (Some(a), Some(b)) = (a, b) {
                    for template in ["$0|$1|${2}|$x|$3$$", source] {
                        let (mut first, mut second) = (String::new(), String::new());
                        a.expand(template, &mut first);
                        b.expand(template, &mut second);
                        assert_eq!(first, second, "{source:?} on {text:?}");
                        assert_eq!(a.expanded_len(template), first.len());
                    }
                }
            }
        });
    }
);

/// Expressions with texts for them.
fn made_seeds() -> Vec<Vec<u8>> {
    let pairs = [
        ("a|bc", "abc\0bc"),
        ("a.*c", "a\nc\0ac"),
        (r"(\d+)-(?P<x>\w*)|[\W\S]", "12-a_\0-"),
        (r"\Qa.b\E.", "a.bc\0axbc"),
        ("a{,2}|[a[b]+|[]a]+|[+--]+", "a{,2}\0a[b\0]"),
        (r"(?i)AbC\101\x{e9}", "abca\u{e9}"),
        (r"(?U)(a+)(b*?)|^x\b$", "aab\0x"),
        (r"((a|ab)(c|bcd)(d*)){1,3}?", "abcd\0abcdacd"),
        (r"\pL+[[:alpha:][:^digit:]]\p{Greek}", "\u{e4}a\u{3b1}"),
        (r"(|a)*(|b)+\z", "aabb"),
        (r"host-(1|2|3)?:9\d{3}", "host-:9100"),
        (r"foo.+|.+foo|.*foo.*", "foo\0xfoo\0afoob"),
    ];
    pairs.iter().map(|(source, texts)| format!("{source}\0{texts}").into_bytes()).collect()
}
