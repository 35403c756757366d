//! What goes on where, on lines of the program's own commands; and the script, in bash.

use super::*;
use crate::commands::{keys::KeysArgs, order::OrderArgs, plan::PlanArgs, tlm::TlmArgs, upload::UploadArgs};

fn program() -> Command {
    Command::new("passband-ground")
        .subcommand(OrderArgs::augment_args(Command::new("order")))
        .subcommand(UploadArgs::augment_args(Command::new("upload")))
        .subcommand(PlanArgs::augment_args(Command::new("plan")))
        .subcommand(KeysArgs::augment_args(Command::new("keys")))
        .subcommand(TlmArgs::augment_args(Command::new("tlm")))
        .subcommand(CompletionArgs::augment_args(Command::new("completion")))
}

fn on(line: &str) -> Onward {
    onward(&program(), &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

fn words(line: &str) -> String {
    match on(line) {
        Onward::Words(words) => words.join(" "),
        Onward::Files => FILES.to_owned(),
    }
}

#[test]
fn commands_options_and_files_go_on_where_they_belong() {
    assert_eq!(words("pl"), "plan");
    assert_eq!(words("plan d"), "dry-run");
    assert_eq!(words("plan check --j"), "--json");
    assert_eq!(words("plan check night.plan --json --j"), "", "once is enough");
    assert_eq!(words("keys s"), "show");
    assert_eq!(words("completion "), "bash");
    for files in
        ["plan check ", "plan check --command-keys ", "plan check --keys op", "upload --kind script ", "tlm "]
    {
        assert_eq!(on(files), Onward::Files, "{files}");
    }
    assert_eq!(words("upload --kind s"), "script");
    assert_eq!(words("upload --kind=s"), "--kind=script");
    assert_eq!(words("upload --kind = s"), "script", "as bash splits it");
    assert_eq!(words("keys role --role op"), "operator");
    assert_eq!(words("tlm --packet bea"), "beacon");
    assert_eq!(words("upload --name "), "", "a name is for who gives it");
}

#[test]
fn orders_go_on_by_the_dictionary_and_only_hazardous_ones_are_armed() {
    assert_eq!(words("order pa"), "pass params");
    assert_eq!(words("order --command-keys k --state s pass st"), "start stop");
    assert_eq!(words("order pass start 300 --r"), "--rate");
    assert_eq!(words("order help pass sta"), "start");
    assert_eq!(words("order agenda add aos -- pass sta"), "start");
    assert_eq!(words("order --json -- pass sta"), "start");
    let telemetry = words("order tlm send ");
    assert!(telemetry.contains("beacon") && telemetry.contains("answers"), "{telemetry}");
    let all = words("order ");
    assert!(all.contains("ping") && all.contains("board"), "{all}");
    for step in ["--arm", "--fire"] {
        let steps = words(&format!("order --command-keys k {step} "));
        assert!(steps.contains("board") && steps.contains("daemon") && !steps.contains("ping"), "{steps}");
        assert_eq!(words(&format!("order {step} keys ")), "retire");
    }
    assert!(words("order --").contains("--arm"));
}

#[test]
fn bash_takes_the_script_and_asks_the_program() {
    let ask = |says: &str| {
        let script = format!(
            "{}\nground() {{ [[ \"$*\" == 'completion words -- order pa' ]] && printf '{says}'; }}\ncompopt() {{ echo \"$*\"; }}\n\
             COMP_WORDS=(ground order pa); COMP_CWORD=2; _passband_ground ground; echo \"${{COMPREPLY[*]}}\"",
            bash(&program())
        );
        let said = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(ask("pass\\nparams\\n"), "pass params");
    assert_eq!(ask(&format!("{FILES}\\n")), "-o default");
}
