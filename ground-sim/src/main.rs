//! `passband-ground`: the ground side of Passband.

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use passband_ground::commands::{
    bench, bridge, completion, console, dictionary, dissector, eval, keys, open, order, order_help, plan,
    products, receive, recover, release, report, scene, send, serve, tlm, uplink, upload,
};
use passband_ground::{demo, emulator};

/// The ground side of Passband: receives what the satellite sends, recovers it from captures, and
/// simulates links and scenes.
///
/// Exit status: 0 done, 1 not (all) done, 2 bad usage or input.
#[derive(Debug, Parser)]
#[command(name = "passband-ground", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keys(keys::KeysArgs),
    Receive(receive::ReceiveArgs),
    Recover(recover::RecoverArgs),
    Release(Box<release::ReleaseArgs>),
    Report(report::ReportArgs),
    Order(Box<order::OrderArgs>),
    Upload(Box<upload::UploadArgs>),
    Uplink(Box<uplink::UplinkCommand>),
    Plan(plan::PlanArgs),
    Tlm(tlm::TlmArgs),
    Bridge(Box<bridge::BridgeArgs>),
    Dictionary(dictionary::DictionaryArgs),
    Dissector(dissector::DissectorArgs),
    Open(open::OpenArgs),
    Products(products::ProductsArgs),
    Send(send::SendArgs),
    Serve(Box<serve::ServeArgs>),
    Console(Box<console::ConsoleArgs>),
    Link(emulator::LinkArgs),
    Scene(Box<scene::SceneArgs>),
    Eval(eval::EvalArgs),
    Demo(demo::DemoArgs),
    Bench(bench::BenchArgs),
    Completion(completion::CompletionArgs),
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(help) = order_help::asked_for(&args) {
        let _ = write!(std::io::stdout(), "{help}");
        return ExitCode::SUCCESS;
    }
    let cli = Cli::try_parse().unwrap_or_else(|e| {
        // An option that there is none of is taken for the order's words, and only what is missing then is told.
        let order = args.split_first().filter(|(command, _)| *command == "order");
        if let Some(hint) = order.filter(|_| e.use_stderr()).and_then(|(_, rest)| order_help::mistyped(rest))
        {
            let _ = writeln!(std::io::stderr(), "passband-ground: {hint}");
            std::process::exit(2);
        }
        e.exit()
    });
    let level =
        std::env::var("PASSBAND_LOG").ok().and_then(|l| l.parse().ok()).unwrap_or(tracing::Level::WARN);
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
    let done = match cli.command {
        Command::Keys(args) => keys::run(args),
        Command::Receive(args) => receive::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Release(args) => release::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Order(args) => order::run(&args),
        Command::Upload(args) => upload::run(&args),
        Command::Uplink(args) => uplink::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Tlm(args) => tlm::run(&args),
        Command::Bridge(args) => bridge::run(&args),
        Command::Dictionary(args) => dictionary::run(&args),
        Command::Dissector(args) => dissector::run(&args),
        Command::Open(args) => open::run(&args),
        Command::Products(args) => products::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Console(args) => console::run(&args),
        Command::Link(args) => emulator::run(args),
        Command::Scene(args) => scene::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completion(args) => completion::run(&args, &Cli::command()),
    };
    done.unwrap_or_else(|e| {
        let _ = writeln!(std::io::stderr(), "passband-ground: {e:#}");
        ExitCode::from(2)
    })
}
