//! `passband-ground completion`: what a shell completes, made of the program's own commands and options.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Command, ValueEnum};

/// Print a completion for a shell: commands, their options, and the words of orders.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground completion bash > ~/.local/share/bash-completion/completions/passband-ground\nor, for the shell that runs:\n  source <(passband-ground completion bash)\n\nExit status: 0 done, 2 bad usage."
)]
pub struct CompletionArgs {
    /// Which shell.
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    /// GNU bash, from 4.4 on.
    Bash,
}

/// Runs `passband-ground completion` for a program.
///
/// # Errors
/// None.
pub fn run(args: &CompletionArgs, program: &Command) -> Result<ExitCode> {
    match args.shell {
        Shell::Bash => say!("{}", bash(program).trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

fn bash(program: &Command) -> String {
    let name = program.get_name();
    let mut cases = String::new();
    list(program, "", &mut cases);
    format!(
        "_{function}() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}} path= at\n    for ((at = 1; at < COMP_CWORD; at++)); do\n        \
         case \"$path ${{COMP_WORDS[at]}}\" in\n{paths}        esac\n    done\n    local known=\n    case \"$path\" in\n{cases}    esac\n    \
         mapfile -t COMPREPLY < <(compgen -W \"$known\" -- \"$word\")\n}}\ncomplete -o default -F _{function} {name}\n",
        function = name.replace('-', "_"),
        paths = paths(program),
    )
}

/// The words of a command: its subcommands and its options.
fn list(command: &Command, path: &str, out: &mut String) {
    let subs = command.get_subcommands().map(|sub| sub.get_name().to_owned());
    let options = command.get_arguments().filter_map(|arg| arg.get_long()).map(|long| format!("--{long}"));
    let mut words: Vec<String> = subs.chain(options).chain(["--help".to_owned()]).collect();
    if path == " order" {
        words.extend(
            passband_proto::dict::ORDERS.iter().flat_map(|def| def.words.split(' ')).map(str::to_owned),
        );
    }
    words.sort();
    words.dedup();
    let _ = writeln!(out, "        \"{path}\") known=\"{}\" ;;", words.join(" "));
    for sub in command.get_subcommands() {
        list(sub, &format!("{path} {}", sub.get_name()), out);
    }
}

/// The ways down to a command, which a word leads on.
fn paths(program: &Command) -> String {
    fn down(command: &Command, path: &str, out: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            down(sub, &path, out);
            out.push(format!("\"{path}\""));
        }
    }
    let mut all = Vec::new();
    down(program, "", &mut all);
    format!("            {}) path+=\" ${{COMP_WORDS[at]}}\" ;;\n", all.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_takes_it_and_completes_commands_options_and_orders() {
        let plan = Command::new("plan").subcommand(Command::new("check").arg(clap::arg!(--json)));
        let program = Command::new("passband-ground").subcommand(plan).subcommand(Command::new("order"));
        let completes = |line: &str| {
            let words = line.split(' ').map(|word| format!("'{word}'")).collect::<Vec<_>>();
            let script = format!(
                "{}\nCOMP_WORDS=({}); COMP_CWORD={}; _passband_ground; echo \"${{COMPREPLY[*]}}\"",
                bash(&program),
                words.join(" "),
                words.len() - 1
            );
            let said = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
            String::from_utf8(said.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(completes("passband-ground pl"), "plan");
        assert_eq!(completes("passband-ground plan ch"), "check");
        assert_eq!(completes("passband-ground plan check --j"), "--json");
        assert_eq!(completes("passband-ground order reb"), "reboot");
    }
}
