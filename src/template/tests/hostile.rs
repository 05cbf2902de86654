//! Templates that would take everything there is.

use std::time::{Duration, Instant};

use super::{expand, expand_within};
use crate::template::syntax::MAX_NESTING;
use crate::template::{Limits, MAX_TEXT_BYTES, SampleValue, Template};

/// The reason why a template is not expanded within `limits`, on a stack of 1 MiB.
fn refused_within(template: &str, limits: &Limits) -> String {
    let work = || expand_within(template, SampleValue::Float(1.0), limits);
    let result = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn_scoped(scope, work);
        thread.expect("a thread").join().expect("no panic")
    });
    let shown = &template[..template.len().min(80)];
    result.map(|text| text.len()).expect_err(shown).reason().to_owned()
}

fn refused(template: &str) -> String {
    refused_within(template, &Limits::default())
}

fn nested(open: &str, inside: &str, close: &str, levels: usize) -> String {
    open.repeat(levels) + inside + &close.repeat(levels)
}

#[test]
fn depth_is_bounded() {
    for (open, inside, close) in [
        ("{{if true}}", "x", "{{end}}"),
        ("{{if false}}{{else}}", "x", "{{end}}"),
        ("{{with 1}}", "x", "{{end}}"),
        ("{{range 1}}", "x", "{{end}}"),
        ("{{block \"b\" 1}}", "{{end}}{{block \"c\" 1}}x{{end}}", "{{end}}"),
    ] {
        let reason = refused(&nested(open, inside, close, 5000));
        assert!(reason.contains("levels"), "{open}: {reason}");
    }
    for (open, close) in [("(", ")"), ("(print ", ")"), ("(print 1 | print ", ")"), ("(", ").x")] {
        let template = |levels| format!("{{{{ {} }}}}", nested(open, "1", close, levels));
        assert!(refused(&template(5000)).contains("levels"), "{open}");
        assert!(refused(&template(MAX_NESTING + 1)).contains("levels"), "{open}");
    }
    let deepest = format!("{{{{ {} }}}}", nested("(print ", "1", ")", MAX_NESTING));
    assert_eq!(expand(&deepest).as_deref(), Ok("1"));
    assert_eq!(expand(&nested("{{if true}}", "x", "{{end}}", MAX_NESTING)).as_deref(), Ok("x"));
}

#[test]
fn long_chains_are_not_deep() {
    let chain = format!("{{{{if false}}}}{}{{{{else}}}}x{{{{end}}}}", "{{else if false}}y".repeat(5000));
    assert_eq!(expand(&chain).as_deref(), Ok("x"));
    let pipeline = format!("{{{{ 1 {} }}}}", "| print ".repeat(5000));
    assert_eq!(expand(&pipeline).as_deref(), Ok("1"));
}

#[test]
fn templates_that_call_themselves_end() {
    assert!(
        refused("{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}")
            .contains("template depth (32)")
    );
    assert!(refused("{{template \"test\"}}").contains("template depth (32)"));
    // Two calls each time would be two to the power of the depth.
    let twice = "{{define \"x\"}}{{template \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}";
    assert!(refused(twice).contains("template depth"));
    let body = nested("{{if true}}", "{{template \"x\"}}", "{{end}}", MAX_NESTING - 1);
    assert!(
        refused(&format!("{{{{define \"x\"}}}}{body}{{{{end}}}}{{{{template \"x\"}}}}"))
            .contains("inside of each other")
    );
    let inside = nested("(", "print 1", ")", MAX_NESTING - 2);
    let body = format!("{{{{template \"x\" {inside}}}}}");
    assert!(
        refused(&format!("{{{{define \"x\"}}}}{body}{{{{end}}}}{{{{template \"x\"}}}}"))
            .contains("template depth")
    );
}

#[test]
fn loops_end() {
    assert!(refused("{{range 9223372036854775807}}{{end}}").contains("1000000 steps"));
    assert!(refused("{{range 100000}}{{range 100000}}{{end}}{{end}}").contains("steps"));
    assert!(refused("{{range toDuration 1}}{{end}}").contains("steps"));
    let many: Vec<String> = (0..10_000).map(|n| format!("{{{{$v{n} := 1}}}}")).collect();
    let many = many.concat();
    let started = Instant::now();
    assert!(refused(&format!("{many}{{{{range 1000000}}}}{{{{$v0}}}}{{{{end}}}}")).contains("steps"));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn time_is_bounded() {
    let limits = Limits { deadline: Some(Instant::now()), ..Limits::default() };
    assert_eq!(refused_within("{{range 1000}}{{end}}", &limits), "expansion takes too long");
    assert!(refused_within("{{query \"one\"}}", &limits).contains("too long"));
    assert!(refused_within("{{match \"a\" \"a\"}}", &limits).contains("too long"));
}

#[test]
fn texts_are_bounded() {
    for template in [
        "{{range 1000000}}0123456789012345678901234567890123456789{{end}}",
        "{{printf \"%1000000d%1000000d\" 1 2}}",
        "{{printf \"%.1000000f%.1000000f\" 1.0 2.0}}",
        "{{printf \"%.1000000e%.1000000x\" 1.0 2.0}}",
        "{{printf \"%01000000d%.1000000d\" 1 2}}",
        "{{printf \"%.1000000U%1000000U\" 1 2}}",
        "{{printf \"%*d%*d\" 1000000 1 1000000 1}}",
        "{{$x := \"0123456789\"}}{{range 30}}{{$x = print $x $x}}{{end}}",
        "{{$t := toTime 1737504000}}{{$l := \"2\"}}{{range 40}}{{$l = $t.Format $l}}{{end}}",
        "{{$x := printf \"%1000000s\" \"<\"}}{{html (reReplaceAll \" \" \"<\" $x)}}",
        "{{$x := printf \"%1000000s\" \" \"}}{{graphLink $x}}{{urlquery $x}}",
        "{{$x := printf \"%1000s\" \" \"}}{{reReplaceAll \" \" $x (printf \"%10000s\" \" \")}}",
        "{{$x := printf \"%1000s\" \" \"}}{{reReplaceAll \"(.*)\" \"$1$1$1$1$1$1$1$1$1$1$1$1\" (printf \"%100000s\" \" \")}}",
        "{{$m := args 1 2 3 4}}{{range 20}}{{$m = args $m $m $m $m}}{{end}}{{$m}}",
    ] {
        let reason = refused(template);
        assert!(reason.contains("bytes") || reason.contains("too long"), "{template}: {reason}");
    }
    // A width that is out of bounds is told in the text.
    assert_eq!(expand("{{printf \"%1000000000d\" 1}}").as_deref(), Ok("%!(NOVERB)%!(EXTRA int=1)"));
    assert!(refused("{{printf \"%9000000d\" 1}}").contains("bytes"));
    assert_eq!(expand("{{printf \"%*d\" 1000000000 1}}").as_deref(), Ok("%!(BADWIDTH)1"));
    let limits = Limits { max_output_bytes: 10, ..Limits::default() };
    assert!(refused_within("0123456789a", &limits).contains("10 bytes"));
    assert!(refused_within("0123456789{{ 1 }}", &limits).contains("10 bytes"));
    assert_eq!(expand_within("0123456789", SampleValue::Float(0.0), &limits).as_deref(), Ok("0123456789"));
}

#[test]
fn what_is_kept_is_bounded() {
    // Each text is allowed, all of them together are not.
    assert!(refused("{{range 1000}}{{$x := printf \"%1000000d\" 1}}{{end}}").contains("steps"));
    assert!(
        refused("{{$m := 1}}{{range 1000}}{{$m = args $m}}{{end}}{{$m}}")
            .contains("maps inside of each other")
    );
    assert!(refused("{{range 1000}}{{$x := query \"one\"}}{{end}}").contains("100 queries"));
}

#[test]
fn regular_expressions_are_bounded() {
    assert!(refused("{{match \"(a{1000}){1000}\" \"a\"}}").contains("too large"));
    assert!(refused("{{match \"((a{100}){100}){100}\" \"a\"}}").contains("too large"));
    let long = "{{$x := printf \"%1000000d\" 1}}";
    assert!(
        refused(&format!("{long}{{{{match \"(.*a){{300}}\" $x}}}}"))
            .contains("regular expressions take too long")
    );
    // One search for each character, each to the end of the text.
    let quadratic = "{{$x := printf \"%1000000s\" \"a\"}}{{reReplaceAll \".*[^ a]|[ a]\" \"b\" $x}}";
    assert!(refused(quadratic).contains("regular expressions take too long"));
    // Many expressions, each read anew.
    assert!(refused("{{range $i := 100000}}{{match (print \"a\" $i) \"a\"}}{{end}}").contains("too large"));
}

#[test]
fn long_templates_are_refused() {
    let error = Template::parse("test", &"x".repeat(MAX_TEXT_BYTES + 1)).expect_err("too long");
    assert!(error.reason().contains("bytes"));
    for text in ["{{", "{{$x:=", "{{(", "{{if true}}", "{{/*", "{{\"\\", "{{printf "] {
        let text = text.repeat(MAX_TEXT_BYTES / text.len());
        assert!(Template::parse("test", &text).is_err());
    }
}
