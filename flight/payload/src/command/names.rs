//! What the names in an order can be, seen without the daemon: what would be refused by its name is bad input.
//!
//! What is on board is not known here.

use passband_proto::dict::{Order, UploadKind};
use passband_proto::plan::{Dictionary, alone, compile, is_name};

use super::BundleName;
use crate::script::Name;

/// Whether an order names plans, scripts and bundles as they can be called, and says when as a plan does.
///
/// # Errors
/// It doesn't, with what is wanted.
pub fn check_names(order: &Order) -> Result<(), String> {
    match order {
        Order::QueuePromote { id }
        | Order::QueueDemote { id }
        | Order::QueueHold { id }
        | Order::QueueRelease { id }
        | Order::QueueDrop { id }
        | Order::QueueRetask { id, .. } => BundleName(id.to_string()).check().map(drop),
        Order::PlanStart { name }
        | Order::PlanHold { name }
        | Order::PlanResume { name }
        | Order::PlanCancel { name }
        | Order::PlanSkip { name, .. }
        | Order::PlanRemove { name }
        | Order::AgendaRemove { name } => check_name(UploadKind::Plan, name),
        Order::ScriptRun { name, .. } | Order::ScriptStop { name } | Order::ScriptRemove { name } => {
            check_name(UploadKind::Script, name)
        }
        Order::AgendaAdd { when, order } => {
            let order = Order::decode(&order.0).map_err(|e| e.to_string())?;
            check_names(&order)?;
            let text = alone("one", when, &order.to_string()).ok_or("WHEN is one line of words")?;
            let plan = compile(&text, "agenda add", &Dictionary::default());
            plan.map(drop)
                .map_err(|faults| faults.first().map_or_else(String::new, |fault| fault.what.clone()))
        }
        _ => Ok(()),
    }
}

/// Whether something of a kind can be called so on board.
///
/// # Errors
/// It can't, with what such a name is.
pub fn check_name(kind: UploadKind, name: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let rule = match kind {
        UploadKind::Plan if !is_name(name) => "a plan's name is 1 to 24 of a-z, 0-9 and -".to_owned(),
        UploadKind::Script => return name.parse::<Name>().map(drop).map_err(|e| format!("{name:?}: {e}")),
        UploadKind::File if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) => {
            "a file's name is of letters, digits, . - _, and no . first".to_owned()
        }
        UploadKind::Plan | UploadKind::File | UploadKind::Image => return Ok(()),
    };
    Err(format!("{name:?}: {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_on_board_can_be_called_is_refused_by_name() {
        let check = |line: &str| check_names(&Order::from_line(line).unwrap());
        for good in
            ["ping", "queue hold 0aF3", "plan start night", "script run check-1", "agenda add aos -- ping"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, said) in [
            ("queue drop zz", "4 to 24 hexadecimal digits"),
            ("queue hold 0af", "4 to 24 hexadecimal digits"),
            ("plan start Night", "a plan's name is"),
            ("script run ../x", "a-z, 0-9 and -"),
            ("agenda add aos -- script stop X", "a-z, 0-9 and -"),
            ("agenda add soon -- ping", "'soon'"),
            ("agenda add aos -- board reboot", "two steps"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
        }
        assert_eq!(check_name(UploadKind::File, "windows.toml"), Ok(()));
        assert!(check_name(UploadKind::File, ".x").is_err() && check_name(UploadKind::File, "a b").is_err());
    }
}
