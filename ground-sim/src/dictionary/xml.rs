//! A little writer of XML: elements, attributes, text. It never reads any, and knows nothing of namespaces.

use std::fmt::Write as _;

/// A document in the making.
pub(super) struct Xml {
    out: String,
    open: Vec<&'static str>,
}

/// The attributes of an element; one whose value is `None` is left out.
pub(super) type Attributes<'a> = &'a [(&'static str, Option<String>)];

/// An attribute.
pub(super) fn is<T: ToString + ?Sized>(name: &'static str, value: &T) -> (&'static str, Option<String>) {
    (name, Some(value.to_string()))
}

impl Xml {
    pub(super) fn new() -> Self {
        Self { out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), open: Vec::new() }
    }

    /// Begins an element.
    pub(super) fn open(&mut self, name: &'static str, attributes: Attributes<'_>) -> &mut Self {
        self.begin(name, attributes);
        self.out.push_str(">\n");
        self.open.push(name);
        self
    }

    /// Ends the innermost element that is open.
    pub(super) fn close(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            self.indent();
            let _ = writeln!(self.out, "</{name}>");
        }
        self
    }

    /// An element with nothing in it.
    pub(super) fn empty(&mut self, name: &'static str, attributes: Attributes<'_>) -> &mut Self {
        self.begin(name, attributes);
        self.out.push_str("/>\n");
        self
    }

    /// An element with a text in it.
    pub(super) fn text(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.begin(name, &[]);
        self.out.push('>');
        self.escaped(text);
        let _ = writeln!(self.out, "</{name}>");
        self
    }

    /// The document; all that is open is ended.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn begin(&mut self, name: &str, attributes: Attributes<'_>) {
        self.indent();
        let _ = write!(self.out, "<{name}");
        for (key, value) in attributes {
            if let Some(value) = value {
                let _ = write!(self.out, " {key}=\"");
                self.escaped(value);
                self.out.push('"');
            }
        }
    }

    fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n(' ', 2 * self.open.len()));
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                c => self.out.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_nested_and_text_is_escaped() {
        let mut xml = Xml::new();
        xml.open("a", &[is("b", "\"<&>\""), ("left", None)]).text("c", "1 < 2").empty("d", &[]);
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a b=\"&quot;&lt;&amp;&gt;&quot;\">\n  \
                        <c>1 &lt; 2</c>\n  <d/>\n</a>\n";
        assert_eq!(xml.finish(), expected);
    }
}
