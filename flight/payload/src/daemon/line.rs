//! The operator and the queue: what is listed, and what is done.

use std::sync::mpsc::Sender;

use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;

use super::encoder::QueueChange;
use super::shared::Shared;
use crate::command::{ActionAnswer, BundleName, QueueAction, QueueAnswer};
use crate::ordered;
use crate::passes::Pass;
use crate::queue::{Change, Contact, Explanation, LinkBelief, Queue, QueueError, Row, State, View};
use crate::store::StoreError;
use crate::telemetry::{Report, SCHEMA};

/// Passes that are looked at to tell when a bundle will be down.
const MAX_CONTACTS: usize = 100;

/// The first bundles: what is on the link, what waits, in the order in which they go, then the others.
pub(crate) fn answer(shared: &Shared, limit: usize) -> Result<QueueAnswer, StoreError> {
    answer_of_first(shared, |queue, now_unix_ms| first(queue, now_unix_ms, limit))
}

/// The same without the others, which takes no longer for many of them.
pub(crate) fn open_answer(shared: &Shared, limit: usize) -> Result<QueueAnswer, StoreError> {
    answer_of_first(shared, |queue, now_unix_ms| first_open(queue, now_unix_ms, limit))
}

fn answer_of_first(
    shared: &Shared,
    first: impl FnOnce(&Queue, u64) -> Vec<View>,
) -> Result<QueueAnswer, StoreError> {
    let now_unix_ms = shared.clock.unix_ms();
    let (ids, total, open, settings) = shared.queue(|queue| {
        let tally = queue.tally();
        let open = tally.in_state(State::Waiting).bundles + tally.in_state(State::OnLink).bundles;
        (first(queue, now_unix_ms), tally.total().bundles, open, queue.settings().clone())
    });
    let progress = shared.progress();
    let mut bundles = Vec::new();
    for (rank, view) in (1..).zip(ids) {
        // One that was dropped this moment isn't there any more.
        if let Some(record) = shared.catalogue.bundle(&view.item.id)? {
            let progress = progress.get(&record.id);
            bundles.push(Row::new(rank, record, &view, progress, &settings));
        }
    }
    Ok(QueueAnswer { schema: SCHEMA, total, open, bundles })
}

fn first_open(queue: &Queue, now_unix_ms: u64, limit: usize) -> Vec<View> {
    let mut on_link: Vec<View> = queue.on_link().filter_map(|id| queue.get(&id)).collect();
    ordered::sort_by_key(&mut on_link, |view| {
        (view.standing.promoted.is_none(), view.item.class, view.item.kind.band())
    });
    let waiting = queue.upcoming(now_unix_ms).filter_map(|next| queue.get(&next.id));
    on_link.into_iter().chain(waiting).take(limit).collect()
}

fn first(queue: &Queue, now_unix_ms: u64, limit: usize) -> Vec<View> {
    let mut out = first_open(queue, now_unix_ms, limit);
    if out.len() < limit {
        let mut others: Vec<View> =
            queue.iter().filter(|view| !matches!(view.state, State::OnLink | State::Waiting)).collect();
        ordered::sort_by_key(&mut others, |view| {
            (view.state, view.item.class, view.item.created_unix_ms, view.item.id)
        });
        out.extend(others.into_iter().take(limit - out.len()));
    }
    out
}

/// Why a bundle is where it is, and when it will be down, by the pass plan and the loss that is believed in.
///
/// # Errors
/// There is no such bundle, in words.
pub(crate) fn explain(shared: &Shared, name: &BundleName) -> Result<Explanation, String> {
    let rate_bps = shared.config.downlink.rate_bps;
    let contact = |pass: Pass| Contact {
        aos_unix_ms: pass.aos_unix_ms,
        los_unix_ms: pass.los_unix_ms,
        rate_bps: pass.rate_bps.unwrap_or(rate_bps),
    };
    let passes: Vec<Contact> = shared.next_passes(MAX_CONTACTS).into_iter().map(contact).collect();
    let link = LinkBelief::expecting(shared.expected_loss());
    let now_unix_ms = shared.clock.unix_ms();
    shared.queue(|queue| {
        let id = name.find(queue.iter().map(|view| view.item.id))?;
        queue.explain(&id, now_unix_ms, &passes, &link).map_err(|e| e.to_string())
    })
}

/// Does something to a bundle.
///
/// # Errors
/// There is no such bundle, it isn't in a state for that, or the catalogue failed: in words.
pub(crate) fn act(
    shared: &Shared,
    sender: &Sender<QueueChange>,
    name: &BundleName,
    action: &QueueAction,
) -> Result<ActionAnswer, String> {
    let id = shared.queue(|queue| name.find(queue.iter().map(|view| view.item.id)))?;
    if *action == QueueAction::Drop {
        return drop_one(shared, sender, &id).map(|()| answer_of(&id, "dropped", true));
    }
    let now_unix_ms = shared.clock.unix_ms();
    let change = shared.queue(|queue| change(queue, &id, action, now_unix_ms))?;
    let (changed, withdraw) = change.as_ref().map_or((false, false), |one| (one.changed, one.withdraw));
    shared.keep_standings(change).map_err(|e| format!("noting it: {e}"))?;
    // Of what is presumed down the sender may send more, if it has capacity to spare, and the queue doesn't know.
    let withdraw = withdraw || *action == QueueAction::Hold;
    drop(sender.send(if withdraw { QueueChange::Withdraw(id) } else { QueueChange::News }));
    let done = words(action);
    if changed {
        let report = Report::info(EventCode::QueueChanged, format!("bundle {id} {done} by the operator"));
        shared.event(&report);
    }
    Ok(answer_of(&id, &done, changed))
}

/// Changes what stands in the queue; `None` if nothing was asked for.
fn change(
    queue: &mut Queue,
    id: &BundleId,
    action: &QueueAction,
    now_unix_ms: u64,
) -> Result<Option<Change>, String> {
    let told = |e: QueueError| e.to_string();
    Ok(match action {
        QueueAction::Promote => Some(queue.promote(id).map_err(told)?),
        QueueAction::Demote => Some(queue.demote(id).map_err(told)?),
        QueueAction::Hold => Some(queue.hold(id, now_unix_ms).map_err(told)?),
        QueueAction::Release => Some(queue.release(id).map_err(told)?),
        QueueAction::Drop => None,
        QueueAction::Retask { tasking, class } => {
            let mut changes = Vec::new();
            if let Some(name) = tasking {
                let found = queue.settings().taskings.iter().position(|tasking| tasking.name == *name);
                let number = found.and_then(|number| u16::try_from(number).ok());
                let number = number.ok_or_else(|| {
                    let all: Vec<_> = queue.settings().taskings.iter().map(|t| t.name.as_str()).collect();
                    format!("there is no tasking {name:?}; there are: {}", all.join(", "))
                })?;
                changes.push(queue.retask(id, number).map_err(told)?);
            }
            if let Some(class) = class {
                changes.push(queue.reclass(id, *class).map_err(told)?);
            }
            // The last standing is that of all changes together; it counts as changed if any did.
            changes.into_iter().reduce(|one, next| Change {
                changed: one.changed || next.changed,
                withdraw: one.withdraw || next.withdraw,
                ..next
            })
        }
    })
}

fn drop_one(shared: &Shared, sender: &Sender<QueueChange>, id: &BundleId) -> Result<(), String> {
    let failed = |e: StoreError| format!("dropping it: {e}");
    let record = shared.catalogue.bundle(id).map_err(failed)?;
    let name = record.as_ref().map_or_else(String::new, |record| record.name.clone());
    let view =
        shared.queue(|queue| queue.get(id)).ok_or_else(|| QueueError::Unknown { id: *id }.to_string())?;
    let text = format!("bundle {id} ({name:?}, {}) dropped by the operator", view.state.name());
    let frames: Vec<_> = record.and_then(|record| record.frame).into_iter().collect();
    let down = matches!(view.state, State::Presumed | State::Known);
    let forgotten = if down { &[][..] } else { frames.as_slice() };
    let report = Report::warning(EventCode::BundleDropped, text);
    shared.catalogue.drop_bundles(&[*id], forgotten, shared.clock.unix_ms(), &report).map_err(failed)?;
    drop(shared.queue(|queue| queue.remove(id)));
    drop(sender.send(QueueChange::Withdraw(*id)));
    shared.vault.remove(id).map_err(failed)
}

fn words(action: &QueueAction) -> String {
    match action {
        QueueAction::Promote => "promoted".to_owned(),
        QueueAction::Demote => "demoted".to_owned(),
        QueueAction::Hold => "held".to_owned(),
        QueueAction::Release => "released".to_owned(),
        QueueAction::Drop => "dropped".to_owned(),
        QueueAction::Retask { tasking, class } => {
            let tasking = tasking.as_ref().map(|tasking| format!("tasking {tasking}"));
            let class = class.map(|class| format!("class {class}"));
            format!("now has {}", tasking.into_iter().chain(class).collect::<Vec<_>>().join(" and "))
        }
    }
}

fn answer_of(id: &BundleId, done: &str, changed: bool) -> ActionAnswer {
    ActionAnswer { schema: SCHEMA, id: id.to_string(), done: done.to_owned(), changed }
}
