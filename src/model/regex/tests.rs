//! Both ways of matching, and what an expression may take.

use super::*;

#[test]
fn a_prefix_is_one_of_every_match() {
    let check =
        |source: &str, prefix: &str| assert_eq!(Anchored::new(source).expect(source).prefix(), prefix);
    check("abc", "abc");
    check("abc.*", "abc");
    check("ab(c|d)", "ab");
    check("abc?", "ab");
    check("abc{0}", "ab");
    check("ab|ac", "");
    check("a(b)|c", "");
    check("a[|]b|c", "");
    check(r"a\|b", "");
    check("(?i)abc", "");
    check("\u{e9}*", "");
}

fn check(source: &str, text: &str, expected: bool) {
    let regex = Anchored::new(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    assert_eq!(regex.is_match(text), expected, "{source} on {text:?}");
    assert_eq!(by_engine(&regex).is_match(text), expected, "{source} on {text:?} by the engine");
    let program = by_characters(source);
    assert_eq!(program.is_match(text), expected, "{source} on {text:?} by characters");
    let groups = |regex: &Anchored| regex.groups(text).map(|groups| groups.parts);
    assert_eq!(groups(&program), groups(&regex), "{source} on {text:?}");
}

#[test]
fn anchors_and_lets_the_dot_match_newlines() {
    check("a", "a", true);
    check("a", "ab", false);
    check("a|b", "b", true);
    check("a|bc", "abc", false);
    check("a.c", "a\nc", true);
    check("", "", true);
    check("", "x", false);
    check("a|", "", true);
    assert!(Anchored::new("(").is_err());
}

#[test]
fn repetitions_of_what_may_be_nothing_prefer_the_same() {
    for source in
        ["(|a)*(|b|.)*", "(|a)*?(a|)", "(|a)+(|b|.)+", "(|a){2,}(.*)", "(a?)*(.)?", "()*(a?)", "(a*)+(|a)*"]
    {
        for text in ["", "a", "aa", "aaaa"] {
            let matches = Anchored::new(source).expect(source).is_match(text);
            check(source, text, matches);
        }
    }
}

#[test]
fn a_bracket_that_closes_nothing_is_refused() {
    // The second would else close the anchored group and open another.
    for source in ["a)", "a)|(b", "(a))", r"\Q(\E)", "[(])"] {
        let error = Anchored::new(source).expect_err(source);
        assert_eq!(error.to_string(), format!("error parsing regexp: unexpected ): `{source}`"));
    }
    check(r"(a\))|\Q)\E[)]", "))", true);
}

#[test]
fn named_classes_end_where_both_syntaxes_say() {
    for source in ["[[:alp:]]", "[^[:a^b:]]", "[[::]]", "x[^[:al:::]]|[=.:|a)]b[:]]|(a"] {
        let error = Anchored::new(source).expect_err(source).to_string();
        assert_eq!(error, format!("error parsing regexp: invalid character class range: `{source}`"));
    }
    let error = Anchored::new("[[:]|(a").expect_err("a group without an end").to_string();
    assert_eq!(error, "error parsing regexp: missing closing ): `[[:]|(a`");
    check("[[:]+", "[:", true);
    check("[[:^alpha:]x[:digit:]:]+", "-x1:", true);
    check("[[:word:]-]+", "a_1-", true);
}

#[test]
fn classes_are_ascii() {
    let arabic_four = "\u{664}";
    check(r"\d", "4", true);
    check(r"\d", arabic_four, false);
    check(r"[\d]", arabic_four, false);
    check(r"\D", arabic_four, true);
    check(r"\w+", "a_1", true);
    check(r"\w+", "\u{e4}", false);
    check(r"[^\w]", "\u{e4}", true);
    check(r"[\W]", "-", true);
    check(r"\s", "\u{a0}", false);
    check(r"\s", "\u{b}", false);
    check(r"a\b.*", "a-b", true);
    check(r"[[:alpha:]]+", "ab", true);
    check(r"[[:alpha:]x-z0]+", "a0", true);
}

#[test]
fn reads_what_only_one_syntax_knows() {
    check(r"\Qa.b\E.", "a.bc", true);
    check(r"\Qa.b\E.", "axbc", false);
    check("a{", "a{", true);
    check("a{,2}", "a{,2}", true);
    check("a{2}", "aa", true);
    check("[a[b]+", "a[b", true);
    check("[a&&b]+", "a&b", true);
    check("[]a]+", "a]", true);
    check("[+--]+", ",", true);
    check(r"\101", "A", true);
    check(r"\<", "<", true);
    check("a}", "a}", true);
    check(r"a\Bb", "ab", true);
    check("(?i)AbC", "aBc", true);
    check("(?i:a)b", "Ab", true);
    check("(?U)a+b", "aab", true);
    check(r"\pL+", "a\u{e4}", true);
    check(r"\x41\x{42}", "AB", true);
    check(r"a\.b\-c\_d\/", "a.b-c_d/", true);
    check("a*?b+?", "aab", true);
    check("[a-c-e]+", "-b", true);
    check(r"[\]\[]+", "[]", true);
    check("(a|b){2,3}", "aba", true);
    check("a{0}b", "b", true);
    for bad in ["a**", "a{1001}", "a{2,1001}", r"\C", r"\Z", r"\1", "(?x)a", "[a", "a\\", "*a", "(?=a)"] {
        assert!(Anchored::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn shortcuts_agree_with_the_engine() {
    let texts = ["", "a", "ab", "ba", "bab", "abc", "xabcx", "\u{e4}", "\u{e4}a", "a\u{e4}", "aa", "\n"];
    for source in [".*", ".+", "a.*", "a.+", ".*a", ".+a", ".*a.*", ".+a.*", ".*a.+", ".+a.+", "a|ab", ".*.*"]
    {
        let regex = Anchored::new(source).expect(source);
        for text in texts {
            assert_eq!(regex.is_match(text), by_engine(&regex).is_match(text), "{source} on {text:?}");
        }
    }
}

#[test]
fn expands_references() {
    let regex = Anchored::new("(?P<first>[a-z]+)-([0-9]+)(x)?").expect("a good expression");
    for regex in [regex, by_characters("(?P<first>[a-z]+)-([0-9]+)(x)?")] {
        let found = regex.groups("abc-42").expect("a match");
        let check = |template: &str, expected: &str| {
            let mut filled = String::new();
            found.expand(template, &mut filled);
            assert_eq!((filled.as_str(), found.expanded_len(template)), (expected, expected.len()));
        };
        check("$1", "abc");
        check("${2}0", "420");
        check("$20", "");
        check("$first-$2", "abc-42");
        check("$3|$9|${nope}", "||");
        check("a$$b$", "a$b$");
        check("${1", "${1");
    }
}

/// The same without short cuts.
fn by_engine(regex: &Anchored) -> Anchored {
    Anchored { fast: Fast::None, ..regex.clone() }
}

/// An expression that has no engine.
fn by_characters(source: &str) -> Anchored {
    let regex = Anchored::new(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    Anchored { has_engine: false, fast: Fast::None, compiled: Arc::default(), ..regex }
}

#[test]
fn large_expressions_stay_small() {
    let regex = Anchored::new(r"\pL{300}").expect("Prometheus takes it");
    assert!(!regex.has_engine);
    assert!(regex.is_match(&"\u{e4}".repeat(300)));
    assert!(!regex.is_match(&"a".repeat(299)) && !regex.is_match(&"a".repeat(301)));
    let program = regex.program().expect("a program");
    assert!(program.bytes() < 32 << 10, "{}", program.bytes());
    // A repetition of repetitions, of nothing, and of more than is allowed.
    assert!(Anchored::new("((a{100}){10})?").is_ok_and(|regex| regex.is_match(&"a".repeat(1000))));
    let _soon = Anchored::new("(((){1000}){1000}){1000}");
    assert!(Anchored::new("((){1000}){100}").is_ok_and(|regex| regex.is_match("")));
    assert!(Anchored::new("((a{1000}){1000}){1000}").is_err());
    assert!(Anchored::new(&r"\pL".repeat(2000)).is_err());
}

#[test]
fn expressions_of_a_request_share_a_budget() {
    let mut budget = RegexBudget::default();
    let mut read = |source: &str| Anchored::within(source, &mut budget);
    let many: Vec<Anchored> = (0..300).map(|_| read(r"\pL{5}").expect("small")).collect();
    let engines = many.iter().filter(|regex| regex.has_engine).count();
    assert!(engines > 20 && engines < 200, "{engines}");
    assert!(many.iter().all(|regex| regex.is_match("abcde") && !regex.is_match("abcd")));
    let refused = (0..200).find_map(|_| read("(a{1000}b{1000}){50}").err()).expect("too many");
    assert!(refused.to_string().contains("too large together"), "{refused}");
    let stop = crate::util::StopToken::new();
    stop.stop();
    assert!(Anchored::within("a", &mut RegexBudget::until(None, stop)).is_err());
}

#[test]
fn random_expressions_match_alike_either_way() {
    let mut state = 3u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % limit
    };
    let parts = [
        "a", "b", "(", ")", "|", "*", "+?", "?", "{2}", "{1,3}", ".", "[ab]", "[^a]", r"\b", r"\B", "^", "$",
        "(?m:^)", "(?i:A)", r"\pL", "(?:", r"\w", "\n",
    ];
    let texts = ["", "a", "ab", "aab", "ba", "a\nb", "\u{e4}a", "abab", "bbbb", "a b"];
    let mut read = 0;
    for _ in 0..3000 {
        let source: String = (0..=below(8)).map(|_| parts[below(parts.len())]).collect();
        let Ok(regex) = Anchored::new(&source) else { continue };
        read += 1;
        let program = by_characters(&source);
        for text in texts {
            assert_eq!(program.is_match(text), by_engine(&regex).is_match(text), "{source:?} on {text:?}");
            let whole =
                |regex: &Anchored| regex.groups(text).map(|groups| groups.parts[0].map(str::to_owned));
            assert_eq!(whole(&program), whole(&regex), "{source:?} on {text:?}");
        }
    }
    assert!(read > 500, "{read}");
}

#[test]
fn a_long_text_is_matched_so_that_it_can_be_stopped() {
    let regex = Anchored::new("(a|ab|b)*c").expect("an expression");
    let text = "ab".repeat(LONG_EFFORT / 4);
    let asked = std::cell::Cell::new(0);
    let go_on = || asked.replace(asked.get() + 1) < 5;
    assert_eq!(regex.is_match_while(&text, &go_on), Err(Stopped));
    assert!(regex.groups_while(&text, &go_on).is_err());
    assert_eq!(asked.get(), 7);
    assert_eq!(regex.is_match_while("ababc", &|| false), Ok(true), "too short to be asked");
}

/// Time in the square of the length would be hours.
#[test]
fn long_expressions_are_read_in_one_go() {
    for part in ["{", "{1,", "[:", "[[:", "\\Q", "(?"] {
        let count = (1 << 20) / part.len() - 1;
        let _ = Anchored::new(&part.repeat(count));
        let _ = Anchored::new(&format!("[{}", part.repeat(count)));
    }
}

/// A class is one instruction, however long it is.
#[test]
fn expressions_that_are_too_long_are_not_read() {
    let class = |len: usize| Anchored::new(&format!("[{}]", "a".repeat(len - 2))).map(drop);
    assert!(class(1 << 20).is_ok());
    let refused = class((1 << 20) + 1).expect_err("too long");
    assert!(refused.to_string().contains("expression too large"));
}
