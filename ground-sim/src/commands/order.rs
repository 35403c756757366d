//! `passband-ground order`: one order, from its words to its answer.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use passband_proto::dict::{Hazard, Order, OrderDef, words};
use passband_proto::packet::Mode;
use passband_proto::plan::{Dictionary, alone, compile, show_utc};
use passband_proto::sdls::{Role, RoleKey};

use super::order_help::mistyped;
use super::role_keys::{holder, key_words};
use super::stop_on_signals;
use super::uplink::{Desk, UplinkArgs, under};
use crate::telemetry::feed::unix_ms;
use crate::uplink::hold::STAYS_ARMED;
use crate::uplink::names::check_order;
use crate::uplink::{Entry, Folder, Hold};

/// Give the satellite an order, and show its answers as they arrive.
///
/// The order is checked against the dictionary, gets a number, and is sent again with growing distances until it is
/// answered; the satellite does it once, however often it arrives. What isn't answered in time stays in the outbox: `passband-ground
/// uplink run` goes on with it. Options stand in front of the words. `passband-ground order help` lists the orders, and
/// `passband-ground order WORDS --help` says what one does and takes.
///
/// A hazardous order takes two steps, arm and fire. Without --arm or --fire both are done, one after the other, once you have
/// typed that you mean it. Its time is 60 s, or what the parameter command.arm says. It stays armed until it is fired, until its
/// time is over, until the satellite's software starts anew, or until any other order under the same key reaches the satellite: so
/// all others of this outbox wait; `passband-ground uplink drop NUMBER` gives it up and lets them go.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[command(
    after_help = "Examples:\n  passband-ground order --command-keys operator.txt --state outbox --to 10.1.0.2:47012 --telemetry 0.0.0.0:47020 --telemetry-keys keys.txt ping\n  passband-ground order --command-keys operator.txt --state outbox pass start 300     # while `uplink run` works the outbox\n  passband-ground order --command-keys operator.txt --state outbox --arm board reboot\n\nExit status: 0 done, 1 refused, failed or not answered yet, 2 bad usage or input."
)]
pub struct OrderArgs {
    #[command(flatten)]
    uplink: UplinkArgs,
    /// Arm a hazardous order, no more: nothing is done before it is fired, by the same words with --fire, in time.
    #[arg(long, conflicts_with = "fire")]
    arm: bool,
    /// Fire a hazardous order that is armed: have it done. One that takes two keys is fired by another holder than who armed it.
    #[arg(long)]
    fire: bool,
    /// Don't ask before a hazardous order.
    #[arg(long)]
    yes: bool,
    /// Wait so long for the answer, s; 0: only put it into the outbox.
    #[arg(long, value_name = "S", default_value_t = 120.0)]
    wait: f64,
    /// Print JSON: a document a line, for each change.
    #[arg(long)]
    json: bool,
    /// The order, as the dictionary has it.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORDS")]
    words: Vec<String>,
}

/// Runs `passband-ground order`.
///
/// # Errors
/// Words that are no order, a key that may not give it, or an outbox that can't be used.
pub fn run(args: &OrderArgs) -> Result<ExitCode> {
    ensure!((0.0..1e9).contains(&args.wait), "--wait takes 0 to 1,000,000,000 seconds");
    let (order, def) =
        parse(&args.words).map_err(|e| mistyped(&args.words).map_or(e, |hint| anyhow!("{hint}")))?;
    let key = holder(&args.uplink.holder.keys, args.uplink.holder.spi)?;
    check_role(def, key.role())?;
    check_agenda(&order, key.role())?;
    check_order(&order)?;
    let steps = steps(def, args.arm, args.fire)?;
    if args.fire && Folder::is_there(&args.uplink.holder.state)? {
        check_armed(&Folder::open(&args.uplink.holder.state, &key)?, &order)?;
    }
    if steps.len() > 1 && !args.yes {
        confirm(&order, def)?;
    }
    let mut desk = if args.wait > 0.0 { Desk::open(&args.uplink)? } else { Desk::only_queue(&args.uplink)? };
    let until = Instant::now() + Duration::from_secs_f64(args.wait);
    let mut good = true;
    for step in steps {
        let entry = desk.queue(*step, &order)?;
        let number = entry.number;
        good = follow(&mut desk, entry, until, (args.json, &key))?;
        if !good {
            break;
        }
        if args.arm && !args.json {
            say!(
                "#{number}: fire it with --fire. It stays armed {STAYS_ARMED}: so all others of this outbox wait. It is given up \
                 with `passband-ground uplink drop {number}`"
            );
        }
    }
    desk.part()?;
    Ok(ExitCode::from(u8::from(!good)))
}

/// The order of words, or of one text with all of them.
///
/// # Errors
/// They are none, with what is wrong.
pub fn parse(given: &[String]) -> Result<(Order, &'static OrderDef)> {
    let order = match given {
        [line] if line.contains(char::is_whitespace) => Order::from_line(line),
        given => Order::from_words(given),
    };
    let order = order.map_err(|e| anyhow!("{e}"))?;
    let def = order.def().context("the dictionary has no such order")?;
    Ok((order, def))
}

/// Whether a role may give an order.
///
/// # Errors
/// It may not.
pub fn check_role(def: &OrderDef, role: Role) -> Result<()> {
    ensure!(def.sources.has(role.into()), "{} may not be given by {role}", def.words);
    Ok(())
}

/// Whether the board would put on the agenda what is to be put there: it makes a plan of one entry of it.
///
/// # Errors
/// WHEN is none, or the order isn't one that plans and this role may give.
pub fn check_agenda(order: &Order, role: Role) -> Result<()> {
    let Order::AgendaAdd { when, order } = order else { return Ok(()) };
    let nested = Order::decode(&order.0).map_err(|e| anyhow!("the order for the agenda: {e}"))?;
    let text = alone("one", when, &nested.to_string()).context("WHEN is one line of words")?;
    let plan = compile(&text, "agenda add", &Dictionary::default());
    let plan = plan.map_err(|faults| {
        anyhow!(
            "agenda add: {}",
            faults.iter().map(|fault| fault.what.clone()).collect::<Vec<_>>().join("; ")
        )
    })?;
    super::plan::check_role(&plan, role)
}

/// Whether nothing else is armed than what is to be fired: firing another order would wait, and then disarm.
///
/// # Errors
/// Something else is, or the outbox can't be read.
fn check_armed(folder: &Folder, order: &Order) -> Result<()> {
    let Hold::Armed { number, .. } = Hold::in_folder(folder, unix_ms())? else { return Ok(()) };
    let armed = folder.order(number)?.map(|entry| entry.words()).unwrap_or_default();
    ensure!(
        armed == order.to_string(),
        "{armed} is armed (#{number}), not {order}: fire that, or give it up with `passband-ground uplink drop {number}`"
    );
    Ok(())
}

/// The steps that an order takes, as it is asked for.
fn steps(def: &OrderDef, arm: bool, fire: bool) -> Result<&'static [Mode]> {
    Ok(match (def.hazard, arm, fire) {
        (Hazard::None, false, false) => &[Mode::Run],
        (Hazard::None, _, _) => bail!("{}", one_step(def)),
        (_, true, _) => &[Mode::Arm],
        (_, _, true) => &[Mode::Fire],
        (Hazard::TwoSteps, false, false) => &[Mode::Arm, Mode::Fire],
        (Hazard::TwoKeys, false, false) => bail!(
            "{} takes two keys: --arm it with this one, then --fire it with another holder's",
            def.words
        ),
    })
}

/// What is said where an order that isn't hazardous is to be armed or fired.
#[must_use]
pub fn one_step(def: &OrderDef) -> String {
    format!("{} is done in one step: it is neither armed nor fired", def.words)
}

fn confirm(order: &Order, def: &OrderDef) -> Result<()> {
    let mut err = std::io::stderr();
    let _ =
        write!(err, "{order}: {}\nIt is hazardous. Type FIRE to have it armed and fired: ", def.doc.trim());
    let _ = err.flush();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("reading the confirmation")?;
    ensure!(line.trim() == "FIRE", "not confirmed: nothing was sent");
    Ok(())
}

/// Shows an order's way until it is settled or the time is over: whether it did what was asked.
fn follow(desk: &mut Desk, entry: Entry, until: Instant, (json, key): (bool, &RoleKey)) -> Result<bool> {
    let stop = stop_on_signals()?;
    let mut number = entry.number;
    let mut shown = String::new();
    let mut entry = entry;
    loop {
        let hold = desk.hold()?;
        let state = hold.state(&entry);
        if state != shown {
            show(&entry, &state, json, key)?;
            shown = state;
        }
        if let Some(next) = entry.goes_on_as {
            number = next;
        } else if !entry.is_open() {
            return Ok(entry.told.is_some_and(|told| told.is_good()));
        }
        if Instant::now() >= until || stop.load(Ordering::Relaxed) {
            if !json {
                say!(
                    "#{number}: {}; it stays in the outbox",
                    under(&entry, "no final answer yet", &key_words(key))
                );
                tell_hold(&hold, &entry);
            }
            return Ok(false);
        }
        desk.turn()?;
        entry = desk.order(number)?.context("the order is gone from the outbox")?;
    }
}

fn show(entry: &Entry, state: &str, json: bool, key: &RoleKey) -> Result<()> {
    if json {
        let mut json = entry.json();
        json["state"] = state.into();
        json["key"] = serde_json::json!({
            "spacecraft": key.spacecraft(), "spi": key.spi(), "role": key.role(),
        });
        say!("{}", serde_json::to_string(&json)?);
    } else {
        let at = show_utc(unix_ms() / 1000 * 1000);
        let state = under(entry, state, &key_words(key));
        say!("{at}  #{} {}: {state}", entry.number, entry.words());
    }
    Ok(())
}

/// How an order that waits for another one is let go.
fn tell_hold(hold: &Hold, entry: &Entry) {
    if let Hold::Armed { number, .. } = hold
        && hold.keeps(entry)
    {
        say!("#{number} is given up, and this order let go, with `passband-ground uplink drop {number}`");
    }
}

/// How an order is given, for those that are wrong.
#[must_use]
pub fn usage(def: &'static OrderDef) -> String {
    words::Usage(def).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::{Shelf, Told};
    use passband_proto::dict::{Reason, Stage};

    #[test]
    fn what_is_wrong_is_said_before_anything_is_sent() {
        let given = |line: &str| parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let says = |line: &str| given(line).unwrap_err().to_string();
        assert!(says("pas start 3").contains("is it \"pass start\"?"));
        assert!(says("pass start 0").contains("from 1 to"));
        let (order, def) = given("pass start 300 --rate 2000000").unwrap();
        assert_eq!(parse(&[order.to_string()]).unwrap().0, order, "one text is as good");
        assert_eq!(usage(def), "pass start SECONDS [--rate RATE]");
        let science = check_role(def, Role::Science).unwrap_err().to_string();
        assert_eq!(science, "pass start may not be given by science");
        let agenda = |line: &str| check_agenda(&given(line).unwrap().0, Role::Operator);
        agenda("agenda add aos -- pass start 300").unwrap();
        assert!(agenda("agenda add garbage -- ping").unwrap_err().to_string().starts_with("agenda add: "));
        let reboot = agenda("agenda add aos -- board reboot").unwrap_err().to_string();
        assert!(reboot.contains("takes two steps"), "{reboot}");
        assert!(steps(def, true, false).is_err() && steps(def, false, false).unwrap() == [Mode::Run]);
        let (_, reboot) = given("board reboot").unwrap();
        assert_eq!(steps(reboot, false, false).unwrap(), [Mode::Arm, Mode::Fire]);
        let (_, retire) = given("keys retire 3").unwrap();
        assert!(steps(retire, false, false).is_err() && steps(retire, false, true).unwrap() == [Mode::Fire]);
    }

    #[test]
    fn nothing_but_what_is_armed_is_fired() {
        let dir = tempfile::tempdir().unwrap();
        let key = passband_proto::sdls::RoleKey::new(1, 2, Role::Operator, [5; 32]).unwrap();
        let mut folder = Folder::open(dir.path(), &key).unwrap();
        let (reboot, restart) = (Order::BoardReboot {}, Order::DaemonRestart {});
        let mut arm = folder.queue(Mode::Arm, &restart, unix_ms()).unwrap();
        check_armed(&folder, &reboot).unwrap();
        arm.told = Some(Told { stage: Stage::Armed, reason: Reason::None, unix_ms: 0, text: String::new() });
        arm.armed_until_unix_ms = Some(unix_ms() + 60_000);
        folder.keep_order(&arm).unwrap();
        check_armed(&folder, &restart).unwrap();
        let why = check_armed(&folder, &reboot).unwrap_err().to_string();
        assert!(
            why.starts_with(&format!("daemon restart is armed (#{}), not board reboot", arm.number)),
            "{why}"
        );
    }
}
