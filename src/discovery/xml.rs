//! XML in answers, read within bounds.

pub(super) use roxmltree::{Document, Node};

use roxmltree::ParsingOptions;

/// A document has no more elements and texts than this; each costs about 80 bytes.
const MAX_NODES: u32 = 4 << 20;

/// An element has no more attributes than this, and a document no more names of spaces: the reader compares each with all
/// others.
const MAX_ATTRIBUTES: usize = 100;

/// Whether no element has too many attributes, nor the document too many names of spaces. What is not well-formed is left to
/// the reader.
fn is_plain(text: &str) -> bool {
    let mut spaces = 0;
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = &rest[at..];
        let skipped = [(&b"<!--"[..], &b"-->"[..]), (b"<![CDATA[", b"]]>"), (b"<?", b"?>")];
        if let Some((_, end)) = skipped.iter().find(|(begin, _)| rest.starts_with(begin)) {
            let Some(length) = memchr::memmem::find(rest, end) else { return true };
            rest = &rest[length + end.len()..];
            continue;
        }
        let (mut attributes, mut quote, mut length) = (0, None, rest.len());
        for (at, byte) in rest.iter().enumerate() {
            match (quote, byte) {
                (Some(open), byte) => quote = quote.filter(|_| open != byte),
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'=') => {
                    attributes += 1;
                    let name = rest[..at].rsplit(u8::is_ascii_whitespace).find(|word| !word.is_empty());
                    spaces += usize::from(name.is_some_and(|name| name.starts_with(b"xmlns")));
                    if attributes > MAX_ATTRIBUTES || spaces > MAX_ATTRIBUTES {
                        return false;
                    }
                }
                (None, b'>') => {
                    length = at;
                    break;
                }
                _ => {}
            }
        }
        rest = &rest[length..];
    }
    true
}

/// Reads a document; one with a DTD is refused.
///
/// # Errors
/// When it is not well-formed, or too large.
pub(super) fn parse(text: &str) -> Result<Document<'_>, String> {
    if !is_plain(text) {
        return Err(format!("cannot read the answer: an element has more than {MAX_ATTRIBUTES} attributes"));
    }
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| format!("cannot read the answer: {error}"))
}

/// The first element called `name` in `node`.
pub(super) fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.tag_name().name() == name)
}

/// All elements called `name` in `node`.
pub(super) fn children<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

/// The text of the element called `name` in `node`; empty where there is none.
pub(super) fn text<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    child(node, name).and_then(|child| child.text()).unwrap_or_default().trim()
}

/// What stands between the tags of `node`, as it is written in `document`.
pub(super) fn inner<'a>(node: Node<'_, '_>, document: &'a str) -> &'a str {
    let (first, last) = (node.first_child(), node.last_child());
    let place = first.zip(last).map(|(first, last)| first.range().start..last.range().end);
    place.and_then(|place| document.get(place)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_documents_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"cc\">]><a>&b;</a>";
        assert!(parse(bomb).is_err());
        assert!(parse("<a><b></a>").is_err());
        // Attributes and spaces are compared with each other.
        let many = (0..200_000).fold(String::new(), |text, at| text + &format!(" a{at}='='"));
        let spaces = |count| "<a xmlns:b='c'>".repeat(count) + &"</a>".repeat(count);
        for text in [
            format!("<a{many}/>"),
            format!("<!-- ' --><a{many}/>"),
            format!("<a><![CDATA[\"]]><b{many}/></a>"),
        ] {
            assert!(parse(&text).is_err_and(|error| error.ends_with("more than 100 attributes")));
        }
        assert!(parse(&spaces(101)).is_err() && parse(&spaces(100)).is_ok());
        assert!(parse("<a b = 'x=>=' c=\"'\"><!-- a=b --><?p a=b?>text = text</a>").is_ok());
        // Depth costs no stack.
        let depth = 200_000;
        let deep = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert_eq!(parse(&deep).expect("well-formed").descendants().count(), depth + 1);
        let wide = format!("<a>{}</a>", "<b/>".repeat(MAX_NODES as usize));
        assert_eq!(parse(&wide).map(drop), Err("cannot read the answer: nodes limit reached".to_owned()));
    }

    #[test]
    fn names_are_without_their_spaces() {
        let document = parse("<r xmlns='u'><x> a </x><l><i>1</i><i>2</i></l></r>").expect("well-formed");
        let root = document.root_element();
        assert_eq!((text(root, "x"), text(root, "y")), ("a", ""));
        let list = child(root, "l").expect("there");
        let text = "<r><m>a &amp;<b>c</b></m><n/></r>";
        let document = parse(text).expect("well-formed");
        let inners: Vec<&str> = document.root_element().children().map(|node| inner(node, text)).collect();
        assert_eq!(inners, ["a &amp;<b>c</b>", ""]);
        assert_eq!(children(list, "i").filter_map(|i| i.text()).collect::<Vec<_>>(), ["1", "2"]);
    }
}
