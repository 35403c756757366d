//! `passband-ground completion`: what a shell completes, made of the program's own commands and options and of the dictionary.
//!
//! The script for the shell is a few lines that ask the program itself, so that it can't fall behind: what stands before the word
//! says which command, option or order it belongs to. Orders go on as they do on the console ([`draft`]). Nothing is looked up
//! but the words that are handed in; files are left to the shell.

use std::any::TypeId;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Arg, ArgAction, Args, Command, ValueEnum};
use passband_proto::dict::{Hazard, OrderDef, PACKETS, UploadKind};
use passband_proto::sdls::Role;

use crate::screen::draft;

/// What the program says where the shell is to complete the names of files: no word that can be typed begins so.
const FILES: &str = "/files/";

/// Print a completion for a shell: commands, their options and what those take, and the words and arguments of orders.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground completion bash > ~/.local/share/bash-completion/completions/passband-ground\nor, for the shell that runs:\n  source <(passband-ground completion bash)\n\nExit status: 0 done, 2 bad usage."
)]
pub struct CompletionArgs {
    /// Which shell.
    shell: Shell,
    /// What stands on the line up to the cursor, for `words`.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    line: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// GNU bash, from 4.4 on.
    Bash,
    /// How the last word of a line may go on, as the script for a shell asks.
    #[value(hide = true)]
    Words,
}

/// How a word may go on.
#[derive(Debug, PartialEq, Eq)]
enum Onward {
    /// As one of these.
    Words(Vec<String>),
    /// As the name of a file.
    Files,
}

/// Runs `passband-ground completion` for a program.
///
/// # Errors
/// None.
pub fn run(args: &CompletionArgs, program: &Command) -> Result<ExitCode> {
    match args.shell {
        Shell::Bash => say!("{}", bash(program).trim_end()),
        Shell::Words => match onward(program, &args.line) {
            Onward::Files => say!("{FILES}"),
            Onward::Words(words) => words.iter().for_each(|word| say!("{word}")),
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// The script: bash hands in the program as it was called, and takes `=` for a word of its own.
fn bash(program: &Command) -> String {
    let name = program.get_name();
    format!(
        "_{function}() {{\n    local found\n    mapfile -t found < <(\"$1\" completion words -- \"${{COMP_WORDS[@]:1:COMP_CWORD}}\" 2>/dev/null)\n    \
         if [[ ${{found[0]}} == {FILES} ]]; then\n        compopt -o default\n        COMPREPLY=()\n    else\n        \
         COMPREPLY=(\"${{found[@]}}\")\n    fi\n}}\ncomplete -F _{function} {name}\n",
        function = name.replace('-', "_"),
    )
}

/// How the last word of a line may go on.
fn onward(program: &Command, line: &[String]) -> Onward {
    let mut given: Vec<&str> = line.iter().map(String::as_str).collect();
    let last = given.pop().unwrap_or_default();
    let last = if last == "=" { "" } else { last };
    let mut place = Place { command: program, used: Vec::new(), wants: None, positions: 0 };
    for (at, word) in given.iter().enumerate() {
        if *word == "=" {
            continue;
        }
        if place.takes_orders(word) {
            return orders(&place, given.get(at..).unwrap_or_default(), last);
        }
        place.go(word);
    }
    if let Some(option) = place.wants {
        return values(option, last, "");
    }
    if let Some((option, value)) =
        last.split_once('=').and_then(|(name, value)| Some((place.option(name)?, value)))
    {
        return values(option, value, last.strip_suffix(value).unwrap_or_default());
    }
    if last.starts_with('-') {
        return Onward::Words(place.options(last));
    }
    if place.command.get_name() == "order" {
        return orders(&place, &[], last);
    }
    let subs = place.command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(Command::get_name);
    let subs: Vec<_> = subs.filter(|sub| sub.starts_with(last)).map(str::to_owned).collect();
    match place
        .command
        .get_positionals()
        .nth(place.positions)
        .or_else(|| place.command.get_positionals().last())
    {
        _ if !subs.is_empty() => Onward::Words(subs),
        Some(arg) => values(arg, last, ""),
        None if last.is_empty() => Onward::Words(place.options(last)),
        None => Onward::Words(Vec::new()),
    }
}

/// Where on the line we are.
struct Place<'a> {
    command: &'a Command,
    /// Options that were given.
    used: Vec<&'a str>,
    /// An option whose value comes next.
    wants: Option<&'a Arg>,
    /// Arguments without a name so far.
    positions: usize,
}

impl<'a> Place<'a> {
    /// Goes on behind a word.
    fn go(&mut self, word: &str) {
        if self.wants.take().is_some() {
            return;
        }
        if word.starts_with('-') {
            let Some(option) = self.option(word.split('=').next().unwrap_or(word)) else { return };
            self.used.extend(option.get_long());
            self.wants =
                Some(option).filter(|option| option.get_action().takes_values() && !word.contains('='));
        } else if let Some(sub) = self.command.find_subcommand(word) {
            (self.command, self.positions) = (sub, 0);
            self.used.clear();
        } else {
            self.positions += 1;
        }
    }

    /// Whether the words of an order begin with this one.
    fn takes_orders(&self, word: &str) -> bool {
        self.command.get_name() == "order" && self.wants.is_none() && !word.starts_with('-')
    }

    fn option(&self, name: &str) -> Option<&'a Arg> {
        let name = name.strip_prefix("--")?;
        let has = |arg: &&Arg| {
            arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|others| others.contains(&name))
        };
        self.command.get_arguments().find(has)
    }

    /// The options that begin so and may still be given.
    fn options(&self, last: &str) -> Vec<String> {
        let again = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
        let left = self.command.get_arguments().filter(|arg| !arg.is_hide_set());
        let names =
            left.filter_map(|arg| arg.get_long().filter(|name| again(arg) || !self.used.contains(name)));
        let all = names.map(|name| format!("--{name}")).chain(["--help".to_owned()]);
        let mut all: Vec<_> = all.filter(|name| name.starts_with(last)).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// How an order goes on; only hazardous ones are armed and fired.
fn orders(place: &Place<'_>, given: &[&str], last: &str) -> Onward {
    let steps = place.used.iter().any(|name| ["arm", "fire"].contains(name));
    let which = |def: &OrderDef| !steps || def.hazard != Hazard::None;
    let given = given.strip_prefix(&["help"]).unwrap_or(given);
    Onward::Words(draft::complete_words(given, last, &which))
}

/// What an option or an argument may be; words begin with `front`.
fn values(arg: &Arg, last: &str, front: &str) -> Onward {
    let of_names = |names: Vec<String>| {
        let names = names.into_iter().filter(|name| name.starts_with(last));
        Onward::Words(names.map(|name| format!("{front}{name}")).collect())
    };
    match arg.get_long() {
        Some("kind") => return of_names(UploadKind::ALL.iter().map(|kind| kind.name().to_owned()).collect()),
        Some("role") => return of_names(Role::ALL.iter().map(|role| role.name().to_owned()).collect()),
        Some("packet") => return of_names(PACKETS.iter().map(|def| def.name.to_owned()).collect()),
        _ => {}
    }
    if arg.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
        return Onward::Files;
    }
    let known = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
    of_names(known.map(|value| value.get_name().to_owned()).collect())
}

#[cfg(test)]
mod tests;
