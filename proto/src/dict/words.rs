//! Words of a shell to an order, and a value's text to the value: the one grammar of commands, plans and consoles.
//!
//! `pass start --seconds 300` is what [`Order`] prints and what is read here. An argument without a default is given by its
//! place or as `--name VALUE`; one with a default only as the latter. Behind `--` stands an order inside an order.

use std::borrow::Cow;
use std::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use super::kind::{Kind, Value};
use super::orders::{ArgDef, BadOrder, DashedName, MAX_ORDER_BYTES, ORDERS, Order, OrderDef, Range};
use super::parameters::{BadValue, ParameterDef};
use crate::wire::Writer;

/// Numbers of this unit may be written with a k, an M or a G behind.
const RATE_UNIT: &str = "bit/s";
/// Most words of an order.
const MAX_WORDS: usize = 64;

/// Words that are no order.
#[derive(Debug, Clone, PartialEq)]
pub enum BadWords {
    /// No order begins like this.
    Unknown {
        /// The words.
        words: String,
        /// The order that they may have meant.
        perhaps: Option<&'static OrderDef>,
    },
    /// An argument is wanted.
    Missing {
        /// The order.
        order: &'static OrderDef,
        /// The argument.
        arg: &'static ArgDef,
    },
    /// A value is not of its kind, or out of range.
    Value {
        /// The order.
        order: &'static OrderDef,
        /// The argument.
        arg: &'static ArgDef,
        /// What stands there.
        text: String,
    },
    /// A value is none of this parameter.
    Parameter(BadValue),
    /// The order has no such argument, or it was given before.
    Surplus {
        /// The order.
        order: &'static OrderDef,
        /// The word.
        word: String,
    },
    /// What stands behind `--` is no order.
    Nested(std::boxed::Box<Self>),
    /// A quotation mark is not closed, or there are too many words.
    Quotes,
    /// It is longer than an order may be.
    Long,
}

impl fmt::Display for BadWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { words, perhaps: None } => write!(f, "{words:?} is no order"),
            Self::Unknown { words, perhaps: Some(order) } => {
                write!(f, "{words:?} is no order; is it {:?}?", order.words)
            }
            Self::Missing { order, arg } => {
                write!(f, "{}: {} is wanted: {}", order.words, arg.name.to_uppercase(), arg.doc.trim())
            }
            Self::Value { order, arg, text } => {
                write!(f, "{}: {text:?} is not {}", order.words, Wanted(arg))
            }
            Self::Parameter(bad) => bad.fmt(f),
            Self::Surplus { order, word } => {
                write!(f, "{}: {word:?} is too much; usage: {}", order.words, Usage(order))
            }
            Self::Nested(why) => write!(f, "behind --: {why}"),
            Self::Quotes => {
                write!(f, "a quotation mark is not closed, or there are more than {MAX_WORDS} words")
            }
            Self::Long => write!(f, "it is longer than the {MAX_ORDER_BYTES} bytes of an order"),
        }
    }
}

impl std::error::Error for BadWords {}

/// What is wanted of an argument, in words.
struct Wanted<'a>(&'a ArgDef);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(arg) = self;
        match arg.kind {
            Kind::Name8(names) | Kind::Name16(names) if names.values.len() <= 12 => {
                let names: Vec<_> = names.values.iter().map(|value| value.name).collect();
                write!(f, "one of {}", names.join(", "))?;
            }
            Kind::Fixed(len) => write!(f, "{} hexadecimal digits", u16::from(len) * 2)?,
            Kind::Text(max) => write!(f, "a text of at most {max} bytes")?,
            Kind::FixedText(len) => write!(f, "a text of less than {len} bytes")?,
            Kind::Order => f.write_str("an order, written behind `--`")?,
            kind => write!(f, "a {}", kind.noun())?,
        }
        if arg.most < f64::MAX {
            write!(f, " from {}", Range(arg))?;
        }
        if arg.unit.is_empty() { Ok(()) } else { write!(f, " ({})", arg.unit) }
    }
}

/// How an order is given: `pass start SECONDS [--rate RATE]`.
pub struct Usage(pub &'static OrderDef);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.words)?;
        self.0.args.iter().try_for_each(|arg| {
            let value = arg.name.to_uppercase();
            match (arg.kind, arg.default) {
                (Kind::Order, _) => f.write_str(" -- ORDER"),
                (_, None) => write!(f, " {value}"),
                (_, Some(_)) => write!(f, " [--{} {value}]", DashedName(arg.name)),
            }
        })
    }
}

/// Splits a line into words as a shell does: by blanks, with '…', "…" and \.
///
/// # Errors
/// A quotation mark is not closed, or there are more words than an order has.
pub fn split(line: &str) -> Result<Vec<String>, BadWords> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().push(chars.next().ok_or(BadWords::Quotes)?);
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() || words.len() > MAX_WORDS { Err(BadWords::Quotes) } else { Ok(words) }
}

impl Order {
    /// Reads a line of words.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_line(line: &str) -> Result<Self, BadWords> {
        Self::from_words(&split(line)?)
    }

    /// Reads words.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_words<S: AsRef<str>>(words: &[S]) -> Result<Self, BadWords> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let (def, rest) = find(&words)?;
        let given = give(def, rest)?;
        let mut buffer = [0; MAX_ORDER_BYTES];
        let mut w = Writer::new(&mut buffer);
        w.put(&def.opcode.to_be_bytes());
        for (arg, text) in def.args.iter().zip(&given) {
            put(def, arg, text.as_ref(), &mut w)?;
        }
        if !w.fitted() {
            return Err(BadWords::Long);
        }
        let len = MAX_ORDER_BYTES.saturating_sub(w.room());
        let order =
            Self::decode(buffer.get(..len).unwrap_or_default()).map_err(|bad| as_words(&bad, &given))?;
        check(&order)?;
        Ok(order)
    }
}

/// The definition that the first words name, and the words behind.
fn find<'a, 'b>(words: &'a [&'b str]) -> Result<(&'static OrderDef, &'a [&'b str]), BadWords> {
    let named = |def: &&'static OrderDef| {
        let count = def.words.split(' ').count();
        def.words.split(' ').eq(words.iter().take(count).copied())
    };
    let longest = ORDERS.iter().filter(named).max_by_key(|def| def.words.len());
    let Some(def) = longest else {
        let words = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        return Err(BadWords::Unknown { perhaps: nearest(&words), words });
    };
    let rest = words.get(def.words.split(' ').count()..).unwrap_or_default();
    Ok((def, rest))
}

/// The order whose words are most like these, if any are.
fn nearest(words: &str) -> Option<&'static OrderDef> {
    let (def, distance) =
        ORDERS.iter().map(|def| (def, distance(def.words, words))).min_by_key(|(_, distance)| *distance)?;
    (distance <= 1 + words.len() / 4).then_some(def)
}

/// Characters to insert, remove or replace (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let new = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = core::mem::replace(cell, new);
            left = new;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The text of each argument.
fn give<'a>(def: &'static OrderDef, words: &[&'a str]) -> Result<Vec<Cow<'a, str>>, BadWords> {
    let mut given: Vec<Option<Cow<'a, str>>> = std::vec![None; def.args.len()];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let surplus = || BadWords::Surplus { order: def, word: (*word).to_string() };
        if *word == "--" {
            let place = def.args.iter().position(|arg| arg.kind == Kind::Order).ok_or_else(surplus)?;
            let nested = words.by_ref().copied().collect::<Vec<_>>();
            let order = Order::from_words(&nested).map_err(|e| BadWords::Nested(e.into()))?;
            let hex = order.encode().iter().map(|b| std::format!("{b:02x}")).collect::<String>();
            *given.get_mut(place).ok_or_else(surplus)? = Some(hex.into());
        } else if let Some(name) = word.strip_prefix("--") {
            let (name, value) =
                name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let place = def.args.iter().position(|arg| DashedName(arg.name).to_string() == name);
            let slot = place.and_then(|place| given.get_mut(place)).filter(|slot| slot.is_none());
            let slot = slot.ok_or_else(surplus)?;
            *slot = Some(value.or_else(|| words.next().copied()).ok_or_else(surplus)?.into());
        } else {
            let free = |(arg, slot): &(&ArgDef, &mut Option<_>)| arg.default.is_none() && slot.is_none();
            let (_, slot) = def.args.iter().zip(given.iter_mut()).find(free).ok_or_else(surplus)?;
            *slot = Some((*word).into());
        }
    }
    let filled = def.args.iter().zip(given).map(|(arg, slot)| {
        slot.or_else(|| arg.default.map(Cow::from)).ok_or(BadWords::Missing { order: def, arg })
    });
    filled.collect()
}

fn put(
    order: &'static OrderDef,
    arg: &'static ArgDef,
    text: &str,
    w: &mut Writer<'_>,
) -> Result<(), BadWords> {
    let bad = || BadWords::Value { order, arg, text: text.to_string() };
    let mut bytes = Vec::new();
    let scaled = if arg.unit == RATE_UNIT { scaled(text) } else { None };
    let value = scaled.map(Value::Unsigned).or_else(|| parse(arg.kind, text, &mut bytes));
    let value = value.filter(|value| arg.admits(value)).ok_or_else(bad)?;
    if value.put(arg.kind, w) { Ok(()) } else { Err(bad()) }
}

fn as_words(bad: &BadOrder, given: &[Cow<'_, str>]) -> BadWords {
    match bad {
        BadOrder::Argument { order, arg } => {
            let place = order.args.iter().position(|a| core::ptr::eq(a, *arg));
            let text = place.and_then(|place| given.get(place)).map(ToString::to_string).unwrap_or_default();
            BadWords::Value { order, arg, text }
        }
        BadOrder::Short | BadOrder::Opcode(_) | BadOrder::Trailing { .. } | BadOrder::Long => BadWords::Long,
    }
}

/// What the table of arguments alone can't tell.
fn check(order: &Order) -> Result<(), BadWords> {
    let Order::ParamsSet { name, value } = order else { return Ok(()) };
    let Some(def) = ParameterDef::get(*name) else { return Ok(()) };
    def.parse(value, &mut Vec::new()).map(drop).map_err(BadWords::Parameter)
}

impl ParameterDef {
    /// A value of this parameter of its text; "default" is one, too: `None`.
    ///
    /// # Errors
    /// It is none, or out of range.
    pub fn parse<'a>(
        &'static self,
        text: &'a str,
        bytes: &'a mut Vec<u8>,
    ) -> Result<Option<Value<'a>>, BadValue> {
        if text == "default" {
            return Ok(None);
        }
        let fits = |value: &Value<'_>| match (self.kind, value) {
            (Kind::FixedText(len), Value::Text(text)) => text.len() < usize::from(len),
            _ => true,
        };
        let value = parse(self.kind, text, bytes).filter(|value| fits(value) && self.admits(value));
        value.map(Some).ok_or(BadValue(self))
    }
}

/// A value of a kind of its text; `bytes` is where those of hexadecimal digits go.
pub fn parse<'a>(kind: Kind, text: &'a str, bytes: &'a mut Vec<u8>) -> Option<Value<'a>> {
    Some(match kind {
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => Value::Unsigned(unsigned(text)?),
        Kind::I32 => Value::Signed(text.parse().ok()?),
        Kind::F32 => Value::Real(text.parse().ok().filter(|x: &f32| x.is_finite())?),
        Kind::Name8(names) | Kind::Name16(names) => Value::Name(names, names.code_of(text)?),
        Kind::FixedText(_) | Kind::Text(_) => Value::Text(text),
        Kind::Fixed(_) | Kind::Bytes(_) => Value::Bytes(hex(text, bytes)?),
        Kind::Order => Value::Order(hex(text, bytes)?),
        Kind::Limits => {
            let mut limits = [f32::NAN; 4];
            let mut parts = text.split(',');
            for limit in &mut limits {
                *limit = match parts.next()?.trim() {
                    "-" => f32::NAN,
                    number => number.parse().ok().filter(|x: &f32| x.is_finite())?,
                };
            }
            parts.next().is_none().then_some(Value::Limits(limits))?
        }
    })
}

fn unsigned(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A whole number with k, M or G behind it: `5M`, `1.5k`.
fn scaled(text: &str) -> Option<u64> {
    let (at, unit) = text.char_indices().next_back()?;
    let places = match unit {
        'k' | 'K' => 3,
        'm' | 'M' => 6,
        'g' | 'G' => 9,
        _ => return None,
    };
    let (whole, part) = text.get(..at)?.split_once('.').unwrap_or((text.get(..at)?, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || part.len() > places || !digits(whole) || !digits(part) {
        return None;
    }
    std::format!("{whole}{part:0<places$}").parse().ok()
}

fn hex<'a>(text: &str, bytes: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if !text.len().is_multiple_of(2) || text.len() > 2 * MAX_ORDER_BYTES {
        return None;
    }
    bytes.clear();
    for pair in text.as_bytes().chunks_exact(2) {
        let digits = core::str::from_utf8(pair).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dict::{NestedOrder, ParameterId, Shed};
    use proptest::prelude::*;

    fn order(line: &str) -> Order {
        Order::from_line(line).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[test]
    fn rates_may_be_written_with_a_k_an_m_or_a_g() {
        let rate = |text: &str| match Order::from_line(&std::format!("pass start 300 --rate {text}")) {
            Ok(Order::PassStart { rate, .. }) => Some(rate),
            _ => None,
        };
        for (text, bps) in [
            ("5M", 5_000_000),
            ("1k", 1_000),
            ("9.6K", 9_600),
            ("10g", 10_000_000_000),
            ("0", 0),
            ("1000", 1_000),
        ] {
            assert_eq!(rate(text), Some(bps), "{text}");
        }
        for bad in
            ["M", ".5M", "1e3k", "-5M", "0.5k", "11G", "1.0001k", "99999999999999G", "999", "5 M", "+5M"]
        {
            assert_eq!(rate(bad), None, "{bad}");
        }
        assert!(Order::from_line("pass start 1k").is_err(), "seconds are no rate");
        let error = Order::from_line("pass start 300 --rate 500").unwrap_err().to_string();
        assert_eq!(error, "pass start: \"500\" is not a whole number from 1000 to 10000000000 or 0 (bit/s)");
    }

    #[test]
    fn words_are_read_and_printed() {
        for (line, printed) in [
            ("ping", "ping"),
            ("pass start 300", "pass start 300 --rate 0"),
            ("pass start --rate=2000000 --seconds 0x10", "pass start 16 --rate 2000000"),
            ("health shed regions", "health shed regions"),
            ("plan start --name --x", "plan start --name --x"),
            ("params set limits.power -,-,20,30", "params set limits.power -,-,20,30"),
            (
                "script run check --args 'a b'",
                "script run check --args 'a b' --wall 300 --cpu 60 --memory 256 --output 1024",
            ),
            ("agenda add 'aos +10s' -- pass start 60", "agenda add 'aos +10s' -- pass start 60 --rate 0"),
            ("upload piece 0a0b0c0d 3 00ff", "upload piece 0a0b0c0d 3 00ff"),
        ] {
            assert_eq!(order(line).to_string(), printed);
            assert_eq!(order(printed), order(line));
        }
        assert_eq!(order("health shed nothing"), Order::HealthShed { level: Shed::Nothing });
    }

    #[test]
    fn what_is_wrong_is_said() {
        let says = |line: &str| Order::from_line(line).unwrap_err().to_string();
        for (line, why) in [
            ("pas start 3", "\"pas start\" is no order; is it \"pass start\"?"),
            ("fly me to the moon", "\"fly me\" is no order"),
            ("pass start", "pass start: SECONDS is wanted: For so long."),
            ("pass start 0", "pass start: \"0\" is not a whole number from 1 to 900 (s)"),
            ("pass start 3 4", "pass start: \"4\" is too much; usage: pass start SECONDS [--rate RATE]"),
            ("pass start 3 --rate 1 --rate 2", "pass start: \"--rate\" is too much"),
            (
                "params set triage.alert_probability 1.5",
                "triage.alert_probability: a number from 0 to 1 is wanted",
            ),
            ("params set downlink.transmit never", "one of bus manual plan always is wanted"),
            ("health shed all", "is not one of nothing, cubes, regions, triage, automatic"),
            ("agenda add aos -- pass go", "behind --: \"pass go\" is no order"),
            ("script run 'x", "a quotation mark is not closed"),
            ("upload drop 0a", "\"0a\" is not 8 hexadecimal digits"),
        ] {
            assert!(says(line).contains(why), "{line}: {}", says(line));
        }
    }

    #[test]
    fn default_is_a_value_of_every_parameter_and_its_own_default_is_one() {
        for def in crate::dict::PARAMETERS {
            assert_eq!(def.parse("default", &mut Vec::new()), Ok(None));
            assert!(def.parse(def.default, &mut Vec::new()).unwrap().is_some(), "{}", def.id);
        }
        let set = order("params set triage.wind default");
        assert!(matches!(set, Order::ParamsSet { name: ParameterId::Wind, .. }));
    }

    #[test]
    fn an_order_in_an_order_is_kept_whole() {
        let Order::AgendaAdd { order: NestedOrder(bytes), .. } = order("agenda add aos -- safe enter") else {
            panic!()
        };
        assert_eq!(Order::decode(&bytes), Ok(Order::SafeEnter {}));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC{0,60}", rest in "[-a-z0-9 '\"\\\\=,.]{0,40}") {
            let _ = Order::from_line(&line);
            for def in ORDERS {
                let _ = Order::from_line(&std::format!("{} {rest}", def.words));
            }
        }

        #[test]
        fn what_is_printed_reads_back(
            def in 0..ORDERS.len(),
            args in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let bytes = [&ORDERS[def].opcode.to_be_bytes()[..], &args].concat();
            if let Ok(order) = Order::decode(&bytes)
                && !matches!(order, Order::ParamsSet { .. } | Order::AgendaAdd { .. })
            {
                prop_assert_eq!(Order::from_line(&order.to_string()), Ok(order.clone()));
            }
        }
    }
}
