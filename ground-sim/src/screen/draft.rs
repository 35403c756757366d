//! Drafts of orders: words that an operator types, against the dictionary. A draft is text; nothing is sent from here.
//!
//! [`Draft::of`] reads a line as the satellite's shell would and says what is wrong with it, or what it does and what it
//! takes; [`complete`] says how its last word may go on.

use passband_proto::dict::words::{BadWords, Usage, split};
use passband_proto::dict::{ArgDef, DashedName, Hazard, Kind, ORDERS, Order, OrderDef, Source};
use serde::Serialize;

/// Longest line that is read, bytes.
pub const MAX_LINE_BYTES: usize = 2048;
/// Most ways in which a word may go on.
const MOST_COMPLETIONS: usize = 40;

/// What can be said of a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draft {
    /// The line.
    pub line: String,
    /// The order as it prints, every argument named; none: the line is none.
    pub order: Option<String>,
    /// What is wrong with the line.
    pub error: Option<String>,
    /// How the order is given; none: the line names none.
    pub usage: Option<String>,
    /// What it does.
    pub doc: Option<&'static str>,
    /// What it takes to have it done.
    pub hazard: Option<Hazard>,
    /// Who may give it.
    pub sources: Vec<&'static str>,
    /// Bytes of it on the wire.
    pub bytes: Option<usize>,
    /// Lines for a shell on the ground that give it, one a step.
    pub commands: Vec<String>,
    /// How the last word may go on.
    pub completions: Vec<String>,
}

impl Draft {
    /// What can be said of a line; a longer one than [`MAX_LINE_BYTES`] is refused.
    #[must_use]
    pub fn of(line: &str) -> Self {
        let read = read(line);
        let def = read.as_ref().ok().and_then(Order::def).or_else(|| named(line));
        let order = read.as_ref().ok();
        Self {
            line: line.chars().take(MAX_LINE_BYTES).collect(),
            order: order.map(ToString::to_string),
            error: read.as_ref().err().cloned(),
            usage: def.map(|def| Usage(def).to_string()),
            doc: def.map(|def| def.doc.trim()),
            hazard: def.map(|def| def.hazard),
            sources: def.map(sources).unwrap_or_default(),
            bytes: order.map(|order| order.encode().len()),
            commands: order.zip(def).map(|(order, def)| commands(order, def.hazard)).unwrap_or_default(),
            completions: complete(line),
        }
    }
}

/// The order of a line.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(line: &str) -> Result<Order, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("a line has at most {MAX_LINE_BYTES} bytes"));
    }
    Order::from_line(line).map_err(|bad: BadWords| bad.to_string())
}

/// How the last word of a line may go on: whole words, in the order of the dictionary.
#[must_use]
pub fn complete(line: &str) -> Vec<String> {
    if line.len() > MAX_LINE_BYTES {
        return Vec::new();
    }
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let ends = line.chars().next_back().is_none_or(char::is_whitespace);
    let last = if ends { "" } else { words.pop().unwrap_or_default() };
    let mut found = complete_words(&words, last, &|_| true);
    found.truncate(MOST_COMPLETIONS);
    found
}

/// Lines for a shell on the ground that give an order: one, or one a step. The key's file and the outbox are named after who may
/// give it, to be put in place of one's own.
#[must_use]
pub fn commands(order: &Order, hazard: Hazard) -> Vec<String> {
    let def = order.def();
    let holder = Source::ALL.iter().find(|source| def.is_some_and(|def| def.sources.has(**source)));
    let holder = holder.map_or("operator", |source| source.name());
    let line = |step: &str, keys: &str, state: &str| {
        format!("passband-ground order --command-keys {keys} --state {state} {step}-- {order}")
    };
    let keys = format!("{holder}.txt");
    match hazard {
        Hazard::None => vec![line("", &keys, "outbox")],
        Hazard::TwoSteps => vec![line("--arm ", &keys, "outbox"), line("--fire ", &keys, "outbox")],
        Hazard::TwoKeys => {
            vec![line("--arm ", &keys, "outbox"), line("--fire ", "another.txt", "outbox-another")]
        }
    }
}

/// The definition that the first words of a line name.
fn named(line: &str) -> Option<&'static OrderDef> {
    let words = split(line).ok()?;
    let starts = |def: &&OrderDef| {
        let count = def.words.split(' ').count();
        words.len() >= count && def.words.split(' ').eq(words.iter().take(count).map(String::as_str))
    };
    ORDERS.iter().filter(starts).max_by_key(|def| def.words.len())
}

fn sources(def: &'static OrderDef) -> Vec<&'static str> {
    Source::ALL.iter().filter(|source| def.sources.has(**source)).map(|source| source.name()).collect()
}

/// How the word `last` behind others may go on, in orders of which `which` says that they can be meant.
#[must_use]
pub fn complete_words(words: &[&str], last: &str, which: &dyn Fn(&OrderDef) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for def in ORDERS.iter().filter(|def| which(def)) {
        let own: Vec<&str> = def.words.split(' ').collect();
        let next = own.get(words.len()).filter(|_| own.starts_with(words));
        if let Some(next) = next.filter(|next| next.starts_with(last))
            && !found.iter().any(|known| known == next)
        {
            found.push((*next).to_owned());
        }
        if words.starts_with(&own) && named(&words.join(" ")) == Some(def) {
            found.extend(arguments(def, words.get(own.len()..).unwrap_or_default(), last));
        }
    }
    found
}

/// How the argument `last` behind `given` may go on.
fn arguments(def: &OrderDef, given: &[&str], last: &str) -> Vec<String> {
    if let Some(at) = given.iter().position(|word| *word == "--") {
        return complete_words(given.get(at + 1..).unwrap_or_default(), last, &|_| true);
    }
    let name_of = |arg: &ArgDef| format!("--{}", DashedName(arg.name));
    if let Some(arg) = given.last().and_then(|word| def.args.iter().find(|arg| name_of(arg) == **word)) {
        return values(arg, last);
    }
    let options = def.args.iter().filter(|arg| arg.default.is_some()).map(name_of);
    let options = options.filter(|name| name.starts_with(last) && !given.contains(&name.as_str()));
    let mut found = next_place(def, given).map(|arg| values(arg, last)).unwrap_or_default();
    found.extend(options);
    found
}

/// The argument whose place comes next.
fn next_place<'a>(def: &'a OrderDef, given: &[&str]) -> Option<&'a ArgDef> {
    let mut places = 0;
    let mut words = given.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            Some(name) if !name.contains('=') => drop(words.next()),
            Some(_) => {}
            None => places += 1,
        }
    }
    def.args.iter().filter(|arg| arg.default.is_none()).nth(places)
}

fn values(arg: &ArgDef, last: &str) -> Vec<String> {
    match arg.kind {
        Kind::Name8(names) | Kind::Name16(names) => {
            let names = names.values.iter().map(|value| value.name);
            names.filter(|name| name.starts_with(last)).map(str::to_owned).collect()
        }
        Kind::Order if "--".starts_with(last) => vec!["--".to_owned()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_good_line_says_what_it_does_and_how_it_is_given() {
        let draft = Draft::of("pass start 300");
        assert_eq!(draft.order.as_deref(), Some("pass start 300 --rate 0"));
        assert_eq!((draft.error, draft.hazard), (None, Some(Hazard::None)));
        assert_eq!(draft.usage.as_deref(), Some("pass start SECONDS [--rate RATE]"));
        assert_eq!(
            draft.commands,
            ["passband-ground order --command-keys operator.txt --state outbox -- pass start 300 --rate 0"]
        );
    }

    #[test]
    fn a_hazardous_one_takes_two_lines() {
        let hazardous =
            ORDERS.iter().find(|def| def.hazard == Hazard::TwoSteps && def.args.is_empty()).unwrap();
        let draft = Draft::of(hazardous.words);
        assert_eq!(draft.hazard, Some(Hazard::TwoSteps));
        assert_eq!(draft.commands.len(), 2);
        assert!(draft.commands[0].contains("--arm") && draft.commands[1].contains("--fire"));
        let two = Draft::of("keys retire 3");
        assert!(
            two.commands[0].contains("--command-keys operator.txt")
                && two.commands[1].contains("--command-keys another.txt")
        );
    }

    #[test]
    fn a_bad_line_says_what_is_wrong_and_still_how_the_order_is_given() {
        let draft = Draft::of("pass start never");
        assert!(draft.error.unwrap().contains("is not a whole number"));
        assert!(draft.usage.unwrap().starts_with("pass start SECONDS"));
        assert_eq!((draft.order, draft.commands.len()), (None, 0));
        let draft = Draft::of("pas start 3");
        assert_eq!(draft.error.unwrap(), "\"pas start\" is no order; is it \"pass start\"?");
        assert_eq!(draft.usage, None);
        assert!(Draft::of(&"x".repeat(MAX_LINE_BYTES + 1)).error.unwrap().contains("at most"));
    }

    #[test]
    fn words_go_on_as_the_dictionary_says() {
        assert!(complete("pa").contains(&"pass".to_owned()));
        assert!(complete("pass ").contains(&"start".to_owned()));
        assert_eq!(complete("pass st"), ["start", "stop"]);
        assert_eq!(complete("pass start 3 --r"), ["--rate"]);
        assert_eq!(complete("health shed re"), ["regions"]);
        assert!(complete("params set limits.po").contains(&"limits.power".to_owned()));
        assert_eq!(complete("agenda add aos -- pass st"), ["start", "stop"]);
        assert!(complete("").contains(&"ping".to_owned()));
        assert!(complete("fly ").is_empty());
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC{0,80}") {
            let _ = Draft::of(&line);
        }

        #[test]
        fn what_completes_a_line_still_begins_it(words in prop::collection::vec(0..ORDERS.len(), 1..3), cut in 0..30_usize) {
            let line: String = words.iter().map(|at| ORDERS[*at].words).collect::<Vec<_>>().join(" ");
            let line: String = line.chars().take(cut).collect();
            let last = line.rsplit(' ').next().unwrap_or_default().to_owned();
            prop_assert!(complete(&line).iter().all(|word| word.starts_with(&last)));
        }
    }
}
