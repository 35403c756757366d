//! Orders from a shell: the dictionary's words, as they are on the uplink and in plans.

use lexopt::prelude::*;
use passband_proto::dict::words::Usage;
use passband_proto::dict::{DashedName, Hazard, Kind, ORDERS, Order, OrderDef, PARAMETERS};

use super::ask::Options;
use super::{Failure, bad_input, help, not_done, print};
use crate::command::{OrderAnswer, Request, check_names, order_text};
use crate::orders::Step;

/// Words that have commands of their own, with answers of their own.
const ELSEWHERE: [&str; 3] = ["queue", "alerts", "pass"];

/// Gives an order, if the command and the words behind it are one; `None` if they aren't.
pub(super) fn try_order(command: &str, parser: &mut lexopt::Parser) -> Result<Option<()>, Failure> {
    let (step, first) = match command {
        "arm" => (Step::Arm, None),
        "fire" => (Step::Fire, None),
        "order" => (Step::Run, None),
        word if ELSEWHERE.contains(&word) => return Ok(None),
        word => (Step::Run, Some(word)),
    };
    let args = parser.raw_args()?;
    if let Some(first) = first {
        // `params` alone is a question, `params set` an order.
        let second = args.peek().and_then(|word| word.to_str()).unwrap_or_default().to_owned();
        let pair = format!("{first} {second}");
        if !ORDERS.iter().any(|def| def.words == first || def.words == pair) {
            return Ok(None);
        }
    }
    let rest: Result<Vec<String>, _> = args.map(OsStringExt::into_text).collect();
    let words: Vec<String> = first.map(str::to_owned).into_iter().chain(rest?).collect();
    let (options, words) = Options::split(words)?;
    match (options.help, words.is_empty(), step) {
        (true, true, Step::Run) => print(&list()),
        (true, true, _) => print(help::ARM),
        (true, false, _) => usage(&words),
        (false, true, _) => Err(bad_input(format!("`passband {command}` needs an order; --help says more"))),
        (false, false, _) => give(&options, step, &words),
    }
    .map(Some)
}

fn give(options: &Options, step: Step, words: &[String]) -> Result<(), Failure> {
    // What is wrong is told without the daemon, and by the same rules.
    let order = Order::from_words(words).map_err(bad_input)?;
    check_names(&order).map_err(bad_input)?;
    if step != Step::Run
        && let Some(def) = order.def().filter(|def| def.hazard == Hazard::None)
    {
        return Err(bad_input(format!("{} is done in one step: it is neither armed nor fired", def.words)));
    }
    let request = Request::Order { order: order.to_string(), step: Some(step) };
    let mut bad = None;
    options.answer(&request, |answer: &OrderAnswer| {
        bad = answer.row.is_bad().then(|| order_text(&answer.row));
        if bad.is_some() { String::new() } else { order_text(&answer.row) }
    })?;
    match bad {
        Some(text) => Err(not_done(text.trim_end())),
        None => Ok(()),
    }
}

/// Text of an argument.
trait OsStringExt {
    fn into_text(self) -> Result<String, Failure>;
}

impl OsStringExt for std::ffi::OsString {
    fn into_text(self) -> Result<String, Failure> {
        self.into_string().map_err(|word| bad_input(format!("{} is no text", word.display())))
    }
}

/// `passband help [ORDER]`.
pub(super) fn help(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let mut words = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    match words.first().map(String::as_str) {
        None => print(help::MAIN),
        Some("orders") => print(&list()),
        Some("arm" | "fire") => print(help::ARM),
        Some("completion") => print(help::COMPLETION),
        Some("params") if words.len() == 1 => print(&parameters()),
        Some(_) => usage(&words),
    }
}

/// The first word of orders, without the second: which there are.
pub(super) fn group(first: &str, mut parser: lexopt::Parser) -> Result<(), Failure> {
    let asked = matches!(parser.next()?, Some(Long("help") | Short('h')));
    let begins = format!("{first} ");
    let seconds: Vec<_> = ORDERS.iter().filter_map(|def| def.words.strip_prefix(&begins)).collect();
    match seconds.as_slice() {
        [] => Err(bad_input(format!("unknown command {first:?}; `passband --help` lists the commands"))),
        _ if asked => usage(&[first.to_owned()]),
        _ => Err(bad_input(format!("`passband {first}` needs one of: {}", seconds.join(", ")))),
    }
}

fn usage(words: &[String]) -> Result<(), Failure> {
    let line = words.join(" ");
    let named = |def: &&OrderDef| line == def.words || line.starts_with(&format!("{} ", def.words));
    let found: Vec<_> = ORDERS.iter().filter(named).collect();
    if let [def] = found.as_slice() {
        return print(&page(def));
    }
    let group = words.first().map(|word| format!("{word} ")).unwrap_or_default();
    let group: Vec<_> = ORDERS.iter().filter(|def| def.words.starts_with(&group)).collect();
    if group.is_empty() {
        return Err(bad_input(format!("there is no order {line:?}; `passband help orders` lists them")));
    }
    print(&group.iter().map(|def| format!("  passband {}\n", Usage(def))).collect::<String>())
}

/// What an order does, on a screen.
fn page(def: &'static OrderDef) -> String {
    let mut out = format!("passband {}\n\n{}\n", Usage(def), def.doc.trim());
    match def.hazard {
        Hazard::None => {}
        Hazard::TwoSteps => {
            put!(out, "It takes two steps: passband arm {0}, then passband fire {0}\n", def.words);
        }
        Hazard::TwoKeys => {
            out += "It takes two steps and two keys: one arms it, the holder of another fires it.\n";
        }
    }
    if !def.args.is_empty() {
        out += "\n";
    }
    for arg in def.args {
        let name = match arg.default {
            None => arg.name.to_uppercase(),
            Some(_) => format!("--{} {}", DashedName(arg.name), arg.name.to_uppercase()),
        };
        put!(out, "  {name:<20} {}{}\n", arg.doc.trim(), limits(arg));
    }
    out += "\n  --json               the answer as one JSON document, \"schema\": 1\n";
    out += "  --socket PATH        the daemon's command socket\n";
    out += "  --config FILE        take the socket from the daemon's configuration\n";
    out
}

fn limits(arg: &passband_proto::dict::ArgDef) -> String {
    let mut parts = Vec::new();
    if arg.most < f64::MAX {
        parts.push(format!("{} {}", passband_proto::dict::Range(arg), arg.unit).trim_end().to_owned());
    }
    if let Kind::Name8(names) = arg.kind {
        parts.push(names.values.iter().map(|value| value.name).collect::<Vec<_>>().join("|"));
    }
    if let Some(default) = arg.default {
        parts.push(format!("default {}", if default.is_empty() { "empty" } else { default }));
    }
    if parts.is_empty() { String::new() } else { format!(" [{}]", parts.join("; ")) }
}

/// All orders, a line each.
fn list() -> String {
    let mut out = "Orders, from a shell as `passband ORDER`, in plans and on the uplink. * takes two steps: arm, fire.\n".to_owned();
    for def in ORDERS {
        let mark = if def.hazard == Hazard::None { ' ' } else { '*' };
        put!(out, "{mark} {}\n", Usage(def));
    }
    out
}

/// All parameters, a line each.
fn parameters() -> String {
    let mut out = String::new();
    for def in PARAMETERS {
        put!(out, "{:<27} {} {}\n", def.id.name(), def.doc.trim(), def.unit);
    }
    out
}

/// `passband completion bash`.
pub(super) fn completion(mut parser: lexopt::Parser) -> Result<(), Failure> {
    match parser.next()? {
        Some(Value(shell)) if shell == "bash" => match parser.next()? {
            None => print(&bash()),
            Some(other) => Err(other.unexpected().into()),
        },
        Some(Long("help") | Short('h')) => print(help::COMPLETION),
        _ => Err(bad_input("`passband completion` needs the name of a shell: bash")),
    }
}

/// A completion for bash, from the dictionary: source it, or put it into /etc/bash_completion.d.
fn bash() -> String {
    let hazardous = Groups::of(ORDERS.iter().filter(|def| def.hazard != Hazard::None));
    let mut all = Groups::of(ORDERS.iter());
    for (first, seconds) in help::COMMANDS {
        all.0.entry(first).or_default().extend(*seconds);
    }
    let mut out = "_passband() {\n  local word=${COMP_WORDS[COMP_CWORD]} at=1 list=\"\"\n  \
         case ${COMP_WORDS[COMP_CWORD-1]} in --config|--socket)\n    COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n  \
         esac\n  if (( COMP_CWORD > 1 )) && [[ ${COMP_WORDS[1]} == arm || ${COMP_WORDS[1]} == fire ]]; then\n    at=2\n"
        .to_owned();
    hazardous.cases(&mut out);
    out += "  else\n";
    all.cases(&mut out);
    out +=
        "  fi\n  if (( COMP_CWORD > at + 1 )); then\n    case \"${COMP_WORDS[at]} ${COMP_WORDS[at+1]}\" in\n";
    let names: Vec<_> = PARAMETERS.iter().map(|def| def.id.name()).collect();
    put!(out, "      'params set') list=\"{}\" ;;\n", names.join(" "));
    for def in ORDERS.iter().filter(|def| def.args.iter().any(|arg| arg.default.is_some())) {
        let options = def.args.iter().filter(|arg| arg.default.is_some());
        let options: Vec<_> = options.map(|arg| format!("--{}", DashedName(arg.name))).collect();
        put!(out, "      '{}') list=\"{}\" ;;\n", def.words, options.join(" "));
    }
    out += "    esac\n  fi\n  COMPREPLY=($(compgen -W \"$list --json --help --socket --config\" -- \"$word\"))\n}\n\
            complete -o default -F _passband passband\n";
    out
}

/// First words, and the second ones behind each.
struct Groups(std::collections::BTreeMap<&'static str, Vec<&'static str>>);

impl Groups {
    fn of(orders: impl Iterator<Item = &'static OrderDef>) -> Self {
        let mut groups = Self(std::collections::BTreeMap::new());
        for def in orders {
            let (first, second) = def.words.split_once(' ').unwrap_or((def.words, ""));
            groups.0.entry(first).or_default().push(second);
        }
        groups
    }

    /// What stands for the first word, and for the second.
    fn cases(&self, out: &mut String) {
        let firsts: Vec<_> = self.0.keys().copied().collect();
        put!(out, "    if (( COMP_CWORD == at )); then list=\"{}\"; fi\n", firsts.join(" "));
        *out += "    if (( COMP_CWORD == at + 1 )); then case ${COMP_WORDS[at]} in\n";
        for (first, seconds) in &self.0 {
            let seconds = seconds.join(" ");
            if !seconds.trim().is_empty() {
                put!(out, "      {first}) list=\"{}\" ;;\n", seconds.trim());
            }
        }
        *out += "    esac; fi\n";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_of_every_order_fits_a_screen() {
        for def in ORDERS {
            let page = page(def);
            assert!(page.lines().count() <= 24, "{page}");
        }
        assert!(list().lines().all(|line| line.chars().count() <= 200));
    }

    #[test]
    fn the_completion_is_bash() {
        let script = bash();
        let checked = std::process::Command::new("bash").args(["-n", "-c", &script]).status().unwrap();
        assert!(checked.success());
        let complete = |words: &str, at: usize| {
            let run =
                format!("{script}\nCOMP_WORDS=({words}); COMP_CWORD={at}; _passband; echo ${{COMPREPLY[@]}}");
            let out = std::process::Command::new("bash").args(["-c", &run]).output().unwrap();
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(complete("passband par", 1), "params");
        assert_eq!(complete("passband params com", 2), "commit");
        assert_eq!(complete("passband arm board re", 3), "reboot");
        assert!(complete("passband params set triage.a", 3).contains("triage.alert_probability"));
        assert_eq!(complete("passband script run --w", 3), "--wall");
        assert_eq!(complete("passband status --", 2), "--json --help --socket --config");
        assert_eq!(complete("passband ar", 1), "arm");
        let hazardous = "board daemon keys update --json --help --socket --config";
        assert_eq!(complete("passband arm ''", 2), hazardous);
        assert_eq!(complete("passband fire ''", 2), hazardous);
        assert_eq!(complete("passband arm keys ''", 3), "retire --json --help --socket --config");
        assert_eq!(complete("passband status --config /et", 3), "/etc");
    }
}
