//! What `passband-ground order` says of orders and of options that it doesn't have. Text only.

use std::fmt::Write as _;

use clap::{Args, Command};
use passband_proto::dict::words::Usage;
use passband_proto::dict::{ArgDef, DashedName, Hazard, Kind, ORDERS, OrderDef, Range, Source};

use super::order::OrderArgs;

/// The help that `order WORDS --help` and `order help [WORDS]` ask for; none: the arguments (without the program's name) are none of
/// these. What isn't about an order is clap's.
#[must_use]
pub fn asked_for(args: &[String]) -> Option<String> {
    let [command, rest @ ..] = args else { return None };
    if command != "order" {
        return None;
    }
    let words: Vec<&str> = match rest {
        [help, words @ ..] if help == "help" => words.iter().map(String::as_str).collect(),
        [words @ .., last] if last == "--help" || last == "-h" => {
            let first = words.iter().position(|word| ORDERS.iter().any(|def| begins(def, word)))?;
            words.get(first..)?.iter().map(String::as_str).collect()
        }
        _ => return None,
    };
    Some(about(&words))
}

/// What is said of an option of `order` that there is none of.
#[must_use]
pub fn mistyped(args: &[String]) -> Option<String> {
    let names = option_names();
    let known = |word: &str| names.iter().any(|name| name == word.split('=').next().unwrap_or(word));
    let given = args.iter().take_while(|word| *word != "--");
    let wrong =
        given.filter(|word| word.starts_with("--")).find(|word| !known(word) && !is_argument(args, word))?;
    let near = names.iter().map(|name| (distance(name, wrong), name)).min().filter(|(far, _)| *far <= 2);
    Some(match near {
        Some((_, name)) => {
            format!("{wrong} is no option; is it {name}? Options stand in front of the order's words")
        }
        None => format!(
            "{wrong} is no option; `passband-ground order --help` lists them, and they stand in front of the order's words"
        ),
    })
}

fn about(words: &[&str]) -> String {
    let line = words.join(" ");
    let named = |def: &&OrderDef| line == def.words || line.starts_with(&format!("{} ", def.words));
    if let Some(def) = ORDERS.iter().filter(named).max_by_key(|def| def.words.len()) {
        return page(def);
    }
    let group: Vec<_> =
        ORDERS.iter().filter(|def| words.first().is_none_or(|word| begins(def, word))).collect();
    if group.is_empty() {
        return format!("{line:?} is no order; `passband-ground order help` lists them\n");
    }
    let mut out = "Orders; * takes two steps: --arm, then --fire. `passband-ground order WORDS --help` says more of one.\n".to_owned();
    for def in group {
        let mark = if def.hazard == Hazard::None { ' ' } else { '*' };
        let _ = writeln!(out, "{mark} {}\n      {}", Usage(def), first_sentence(def.doc));
    }
    out
}

fn page(def: &'static OrderDef) -> String {
    let mut out = format!(
        "passband-ground order --command-keys FILE --state DIR [OPTIONS] {}\n\n{}\n",
        Usage(def),
        def.doc.trim()
    );
    let who: Vec<_> =
        Source::ALL.iter().filter(|source| def.sources.has(**source)).map(|source| source.name()).collect();
    let _ = writeln!(out, "It may be given by: {}", who.join(", "));
    match def.hazard {
        Hazard::None => {}
        Hazard::TwoSteps => {
            let _ = writeln!(
                out,
                "\nIt is hazardous and takes two steps, in front of the words:\n  --arm    nothing is done yet; it stays armed for 60 s, or what the parameter command.arm says, and all other\n           orders of that outbox wait\n  --fire   the same words have it done, in that time\nWithout them both are done after you typed FIRE. `passband-ground uplink drop NUMBER` gives up what is armed."
            );
        }
        Hazard::TwoKeys => {
            let _ = writeln!(
                out,
                "\nIt is hazardous and takes two steps under two keys: one holder gives it with --arm, another one fires it with --fire and the\nsame words, in 60 s, or what the parameter command.arm says. `passband-ground uplink drop NUMBER` gives up what is armed."
            );
        }
    }
    if !def.args.is_empty() {
        out.push('\n');
    }
    for arg in def.args {
        let name = match arg.default {
            None => arg.name.to_uppercase(),
            Some(_) => format!("--{} {}", DashedName(arg.name), arg.name.to_uppercase()),
        };
        let _ = writeln!(out, "  {name:<20} {}{}", arg.doc.trim(), limits(arg));
    }
    out
}

fn limits(arg: &ArgDef) -> String {
    let range = (arg.most < f64::MAX).then(|| format!("{} {}", Range(arg), arg.unit).trim_end().to_owned());
    let names = match arg.kind {
        Kind::Name8(names) => Some(names.values.iter().map(|value| value.name).collect::<Vec<_>>().join("|")),
        _ => None,
    };
    let default =
        arg.default.map(|default| format!("default {}", if default.is_empty() { "empty" } else { default }));
    let parts: Vec<_> = [range, names, default].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(" [{}]", parts.join("; ")) }
}

fn begins(def: &OrderDef, word: &str) -> bool {
    def.words.split(' ').next() == Some(word)
}

fn first_sentence(doc: &str) -> &str {
    let doc = doc.trim();
    doc.find(". ").and_then(|at| doc.get(..=at)).unwrap_or(doc)
}

/// Whether an option is one of the order whose words stand there.
fn is_argument(args: &[String], option: &str) -> bool {
    let begun = args.iter().position(|word| ORDERS.iter().any(|def| begins(def, word)));
    let words = begun.and_then(|at| args.get(at..)).unwrap_or_default().join(" ");
    let def = ORDERS.iter().filter(|def| words.starts_with(def.words)).max_by_key(|def| def.words.len());
    let name = option.split('=').next().unwrap_or(option);
    def.is_some_and(|def| def.args.iter().any(|arg| format!("--{}", DashedName(arg.name)) == name))
}

fn option_names() -> Vec<String> {
    let command = OrderArgs::augment_args(Command::new("order"));
    let names = command
        .get_arguments()
        .flat_map(|arg| arg.get_long().into_iter().chain(arg.get_all_aliases().into_iter().flatten()));
    let names = names.map(|name| format!("--{name}"));
    names.chain(["--help".to_owned(), "--version".to_owned()]).collect()
}

/// How many letters are to be put in, taken out or changed to make one word of the other (Levenshtein's distance, by the
/// algorithm of R. Wagner and M. Fischer, 1974).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in (1..).zip(a.chars()) {
        let mut corner = std::mem::replace(&mut row[0], i);
        for (j, y) in (1..).zip(b.chars()) {
            let cost = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j - 1] + 1);
            corner = std::mem::replace(&mut row[j], cost);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn an_order_is_explained_by_its_words_and_a_group_by_its_first() {
        let help = |line: &str| asked_for(&words(line));
        let safe = help("order safe --help").unwrap();
        assert!(safe.contains("safe enter") && safe.contains("safe leave"), "{safe}");
        let reboot = help("order --keys k board reboot --help").unwrap();
        assert!(
            reboot.contains("--arm    nothing is done yet") && reboot.contains("uplink drop"),
            "{reboot}"
        );
        assert!(help("order help keys retire").unwrap().contains("two keys"));
        assert!(help("order help").unwrap().contains("pass start SECONDS"));
        assert!(help("order help fly").unwrap().contains("is no order"));
        assert_eq!((help("order --help"), help("tlm --help"), help("order ping")), (None, None, None));
    }

    #[test]
    fn a_mistyped_option_suggests_the_near_one() {
        let says = |line: &str| mistyped(&words(line));
        assert!(says("--jsn ping").unwrap().contains("is it --json?"));
        assert!(says("--keys k --jsn ping").unwrap().contains("is it --json?"), "an option's other name");
        assert!(says("--keys k --state s ping --jsn").unwrap().contains("is it --json?"));
        assert!(says("--quite-another ping").unwrap().contains("--help"));
        assert_eq!(
            (says("--keys k pass start 3 --rate 9"), says("--wait=3 ping"), says("-- ping --jsn")),
            (None, None, None)
        );
        assert_eq!([distance("--jsn", "--json"), distance("abc", "abc"), distance("", "ab")], [1, 0, 2]);
    }
}
