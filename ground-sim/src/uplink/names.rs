//! What the satellite would refuse by its name or its size, and what is no order for people, refused before it is sent: by the satellite's own rules.
//!
//! Looks at what is handed in and at nothing else; what is on board already it doesn't know.

use anyhow::{Result, anyhow, bail, ensure};
use passband_flight::script::{MAX_SCRIPT_BYTES, Name, ScriptError};
use passband_flight::uplink::uploads::About;
use passband_proto::dict::{Order, UploadKind};
use passband_proto::plan::{Dictionary, SignedPlan, compile, is_name};
use passband_proto::sdls::RoleKey;

/// How the plans begin that the satellite makes of single orders for the agenda.
const ALONE: &str = "one-";

/// Whether an order names plans, scripts and uploads as they can be called on board.
///
/// # Errors
/// It doesn't, with what such a name is.
pub fn check_order(order: &Order) -> Result<()> {
    match order {
        Order::PlanStart { name }
        | Order::PlanHold { name }
        | Order::PlanResume { name }
        | Order::PlanCancel { name }
        | Order::PlanSkip { name, .. }
        | Order::PlanRemove { name }
        | Order::AgendaRemove { name } => check_plan_name(name),
        Order::ScriptRun { name, .. } | Order::ScriptStop { name } | Order::ScriptRemove { name } => {
            check_script_name(name)
        }
        Order::UploadBegin { id, kind, name, size, piece, sha256 } => {
            check_kind(*kind, name, usize::try_from(*size)?)?;
            let about = About {
                id: *id,
                kind: *kind,
                name: name.to_string(),
                size: *size,
                piece: *piece,
                sha256: *sha256,
                number: 0,
            };
            ensure!(About::decode(&about.encode()).is_some(), "upload begin: {}", upload_rule(name));
            Ok(())
        }
        Order::AnswersSeen { .. } | Order::UploadPiece { .. } => {
            let words = order.def().map_or("", |def| def.words);
            bail!("{words} is sent by the outbox itself, and never answered")
        }
        Order::AgendaAdd { order, .. } => {
            check_order(&Order::decode(&order.0).map_err(|e| anyhow!("the order for the agenda: {e}"))?)
        }
        _ => Ok(()),
    }
}

/// Whether a file can be what it is said to be: its name, its size, and of a plan that it is compiled and signed.
///
/// # Errors
/// It can't, with what is wrong and what to do about it.
pub fn check_upload(kind: UploadKind, name: &str, content: &[u8], key: &RoleKey) -> Result<()> {
    check_kind(kind, name, content.len())?;
    if kind == UploadKind::Plan {
        check_plan(name, content, key)?;
    }
    // The rule for all of them, as the satellite asks it.
    let about =
        About { id: [0; 4], kind, name: name.to_owned(), size: 1, piece: 16, sha256: [0; 32], number: 0 };
    ensure!(About::decode(&about.encode()).is_some(), "{}", upload_rule(name));
    Ok(())
}

fn check_kind(kind: UploadKind, name: &str, bytes: usize) -> Result<()> {
    match kind {
        UploadKind::Script => {
            check_script_name(name)?;
            ensure!((1..=MAX_SCRIPT_BYTES).contains(&bytes), "{}", ScriptError::Length { bytes });
        }
        UploadKind::Plan => {
            check_plan_name(name)?;
            ensure!(!name.starts_with(ALONE), "{name:?}: plans of that name are made of `agenda add`");
        }
        UploadKind::File | UploadKind::Image => {}
    }
    Ok(())
}

fn check_script_name(name: &str) -> Result<()> {
    name.parse::<Name>().map(drop).map_err(|e| anyhow!("{name:?}: {e}"))
}

fn check_plan_name(name: &str) -> Result<()> {
    ensure!(is_name(name), "{name:?}: a plan's name is 1 to 24 of a-z, 0-9 and -");
    Ok(())
}

fn upload_rule(name: &str) -> String {
    format!("{name:?}: what is sent up is called by 1 to 32 letters, digits, . - _, and no . first")
}

/// Whether it is a signed plan of this name, as far as our key can tell.
fn check_plan(name: &str, content: &[u8], key: &RoleKey) -> Result<()> {
    if let Some(text) = std::str::from_utf8(content).ok().filter(|text| !text.contains('\0')) {
        if let Err(faults) = compile(text, name, &Dictionary::default()) {
            let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
            bail!("it is no signed plan, and as the text of one it is faulty:\n{}", lines.join("\n"));
        }
        bail!(
            "it is the text of a plan, and the satellite takes signed ones: `passband-ground plan upload` compiles, signs and sends it"
        );
    }
    let signed = SignedPlan::new(content).map_err(|e| {
        anyhow!("it is no signed plan: {e}; `passband-ground plan compile` makes one of a text")
    })?;
    if signed.spi() != key.spi() {
        // Another holder's: only the satellite can tell.
        return Ok(());
    }
    let plan = signed.verify(&key.plan_key()).map_err(|e| anyhow!("the plan: {e}"))?;
    ensure!(plan.name == name, "the plan's own name is {:?}, not {name:?}", plan.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::plan::sign;
    use passband_proto::sdls::Role;

    fn key() -> RoleKey {
        RoleKey::new(1, 4, Role::Planner, [5; 32]).unwrap()
    }

    #[test]
    fn names_that_the_satellite_refuses_are_refused_here() {
        let order = |line: &str| check_order(&Order::from_line(line).unwrap()).map_err(|e| e.to_string());
        for bad in ["../x", "'my script'", "Check", "check.sh", "x/y", "''"] {
            for words in ["script run", "script remove", "plan start", "plan cancel"] {
                let error = order(&format!("{words} {bad}")).unwrap_err();
                assert!(error.contains("1 to 24 of a-z, 0-9 and -"), "{words} {bad}: {error}");
            }
            assert!(order(&format!("agenda add aos -- script run {bad}")).is_err(), "{bad}");
        }
        assert!(order("answers seen 3").unwrap_err().contains("by the outbox itself"));
        order("pass start 300").unwrap();
        order("script run check-1").unwrap();
        order("agenda add aos -- plan start night").unwrap();
        let upload = |kind, name: &str, bytes: usize| {
            check_upload(kind, name, &vec![b'#'; bytes], &key()).map_err(|e| e.to_string())
        };
        upload(UploadKind::Script, "check", 9).unwrap();
        for (kind, name) in [
            (UploadKind::Script, "my script"),
            (UploadKind::Script, "a-name-of-more-than-24-bytes"),
            (UploadKind::File, "../x"),
            (UploadKind::File, ".hidden"),
            (UploadKind::File, ""),
            (UploadKind::Image, "a name of more than 32 bytes, which is long"),
            (UploadKind::Plan, "Night"),
        ] {
            assert!(upload(kind, name, 9).is_err(), "{name}");
        }
        upload(UploadKind::File, "windows.toml", 2 << 20).unwrap();
        assert!(
            upload(UploadKind::Script, "check", MAX_SCRIPT_BYTES + 1).unwrap_err().contains("65536 bytes")
        );
    }

    #[test]
    fn only_a_signed_plan_goes_up_as_one() {
        let text = "plan night\nversion 1\nafter 1s do ping\n";
        let says = |name: &str, content: &[u8]| {
            check_upload(UploadKind::Plan, name, content, &key()).unwrap_err().to_string()
        };
        assert!(says("night", text.as_bytes()).contains("`passband-ground plan upload`"));
        let faulty = says("night", text.replace("ping", "pnig").as_bytes());
        assert!(faulty.contains("night:3: ") && faulty.contains("ping"), "{faulty}");
        assert!(says("night", &[0, 1, 2]).contains("no signed plan"));
        let plan = compile(text, "", &Dictionary::default()).unwrap();
        let bytes = sign(&plan, 4, &key().plan_key()).unwrap();
        check_upload(UploadKind::Plan, "night", &bytes, &key()).unwrap();
        assert!(says("day", &bytes).contains("own name is \"night\""));
        let mut damaged = bytes.clone();
        damaged[20] ^= 1;
        assert!(says("night", &damaged).contains("signature"));
    }
}
