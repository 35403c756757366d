//! What Open MCT asks: the dictionary, and the history of a channel.
//!
//! `/openmct/history/PACKET.FIELD?start=MS&end=MS&strategy=latest|minmax&size=N` gives data `{"id", "timestamp", "value"}`, the
//! oldest first, times in ms since 1970-01-01 UTC, as its telemetry providers are asked for them. Both ends count.
//!
//! | strategy | what |
//! | --- | --- |
//! | `latest` | the newest `size` data, 1 by default |
//! | `minmax` | of `size` equal times (500 by default) the least and the greatest datum; of texts the newest |
//! | none | the newest [`MOST_DATA`] |

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use passband_proto::dict::{FieldDef, PACKETS, PacketDef, Value};
use passband_proto::packet::TelemetryPacket;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Of, Question, error, failed};
use crate::dictionary::openmct;
use crate::screen::Feed;

/// Most data of an answer.
pub(super) const MOST_DATA: usize = 10_000;
/// Times that `minmax` divides a span into, unless told otherwise.
const SPANS: usize = 500;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    start: Option<f64>,
    end: Option<f64>,
    strategy: Option<String>,
    size: Option<usize>,
}

/// The dictionary.
pub(super) async fn dictionary() -> Response {
    super::json(openmct::text())
}

/// The history of a channel.
pub(super) async fn history(
    State(ground): Of,
    Path(key): Path<String>,
    Question(asked): Question<Asked>,
) -> Response {
    let Some((packet, field)) = find(&key) else {
        return error(StatusCode::NOT_FOUND, "there is no such channel");
    };
    let Some(span) = span(&asked) else {
        return error(StatusCode::BAD_REQUEST, "start and end are ms since 1970, start first");
    };
    let Some(wanted) = Wanted::of(&asked) else {
        return error(StatusCode::BAD_REQUEST, "strategy is latest or minmax, size 1 to 10000");
    };
    let Ok(_turn) = ground.queries.acquire().await else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "it ends");
    };
    let of = std::sync::Arc::clone(&ground);
    let read = tokio::task::spawn_blocking(move || data(&of.feed, packet, field, span, wanted)).await;
    match read {
        Ok(Ok(data)) => super::json(Json::from(data).to_string()),
        Ok(Err(e)) => failed(&e),
        Err(e) => failed(&e.into()),
    }
}

/// A channel of its key.
pub(super) fn find(key: &str) -> Option<(&'static PacketDef, usize)> {
    let (packet, field) = key.split_once('.')?;
    let packet = PACKETS.iter().find(|def| def.name == packet).copied()?;
    Some((packet, packet.fields.iter().position(|def| def.name == field)?))
}

/// The value of a packet's field.
pub(super) fn value<'a>(
    def: &'static PacketDef,
    field: usize,
    packet: &TelemetryPacket<'a>,
) -> Option<(&'static FieldDef, Value<'a>)> {
    if packet.apid() != def.apid || packet.data().len() != def.data_bytes() {
        return None;
    }
    def.read(packet.data()).nth(field).and_then(|(field, value)| Some((field, value?)))
}

/// A datum as Open MCT takes it.
pub(super) fn datum(def: &PacketDef, field: &FieldDef, unix_ms: u64, value: &Json) -> Json {
    json!({ "id": format!("{}.{}", def.name, field.name), "timestamp": unix_ms, "value": value })
}

/// How data are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Newest(usize),
    Extremes(usize),
}

impl Wanted {
    fn of(asked: &Asked) -> Option<Self> {
        let within = |size: usize| (1..=MOST_DATA).contains(&size).then_some(size);
        match asked.strategy.as_deref() {
            Some("latest") => Some(Self::Newest(within(asked.size.unwrap_or(1))?)),
            Some("minmax") => Some(Self::Extremes(within(asked.size.unwrap_or(SPANS))?.min(MOST_DATA / 2))),
            None | Some("") => Some(Self::Newest(within(asked.size.unwrap_or(MOST_DATA))?)),
            Some(_) => None,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
fn span(asked: &Asked) -> Option<(u64, u64)> {
    let number = |of: Option<f64>, default: f64| Some(of.unwrap_or(default)).filter(|ms| ms.is_finite());
    let (start, end) = (number(asked.start, 0.0)?, number(asked.end, 1e15)?);
    (start <= end).then_some((start.ceil() as u64, end.floor() as u64))
}

fn data(
    feed: &Feed,
    def: &'static PacketDef,
    field: usize,
    span: (u64, u64),
    wanted: Wanted,
) -> anyhow::Result<Vec<Json>> {
    let mut chosen = Chosen::new(wanted, span);
    feed.history(def.apid, span, |packet| {
        if let Some((_, value)) = value(def, field, packet) {
            chosen.take(packet.time().to_unix_ms(), value.number(), || openmct::value(&value));
        }
    })?;
    let Some(field) = def.fields.get(field) else { return Ok(Vec::new()) };
    Ok(chosen.data().into_iter().map(|(unix_ms, value)| datum(def, field, unix_ms, &value)).collect())
}

/// Data in order of time, no more than are wanted.
#[derive(Debug)]
struct Chosen {
    wanted: Wanted,
    span: (u64, u64),
    taken: u64,
    newest: BTreeMap<(u64, u64), Json>,
    extremes: BTreeMap<u64, [(f64, u64, Json); 2]>,
}

impl Chosen {
    fn new(wanted: Wanted, span: (u64, u64)) -> Self {
        Self { wanted, span, taken: 0, newest: BTreeMap::new(), extremes: BTreeMap::new() }
    }

    fn take(&mut self, unix_ms: u64, number: Option<f64>, value: impl Fn() -> Json) {
        self.taken += 1;
        match (self.wanted, number.filter(|n| n.is_finite())) {
            (Wanted::Extremes(spans), Some(number)) => self.stretch(unix_ms, number, spans, &value),
            (Wanted::Newest(most) | Wanted::Extremes(most), _) => {
                let key = (unix_ms, self.taken);
                if self.newest.len() < most || self.newest.first_key_value().is_some_and(|(k, _)| *k < key) {
                    self.newest.insert(key, value());
                }
                if self.newest.len() > most {
                    self.newest.pop_first();
                }
            }
        }
    }

    fn stretch(&mut self, unix_ms: u64, number: f64, spans: usize, value: &impl Fn() -> Json) {
        let length = (self.span.1 - self.span.0) / spans as u64 + 1;
        let new = || (number, unix_ms, value());
        let pair = self.extremes.entry((unix_ms - self.span.0) / length).or_insert_with(|| [new(), new()]);
        let [least, greatest] = pair;
        if number < least.0 {
            *least = new();
        }
        if number > greatest.0 {
            *greatest = new();
        }
    }

    fn data(self) -> Vec<(u64, Json)> {
        let mut data: Vec<_> =
            self.newest.into_iter().map(|((unix_ms, _), value)| (unix_ms, value)).collect();
        for [least, greatest] in self.extremes.into_values() {
            let same = least.1 == greatest.1;
            data.push((least.1, least.2));
            if !same {
                data.push((greatest.1, greatest.2));
            }
        }
        data.sort_by_key(|(unix_ms, _)| *unix_ms);
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(strategy: &str, size: usize, data: &[(u64, f64)]) -> Vec<(u64, f64)> {
        let asked = Asked { strategy: Some(strategy.to_owned()), size: Some(size), ..Asked::default() };
        let mut chosen = Chosen::new(Wanted::of(&asked).unwrap(), (0, 999));
        data.iter().for_each(|(at, x)| chosen.take(*at, Some(*x), || json!(x)));
        chosen.data().into_iter().map(|(at, x)| (at, x.as_f64().unwrap())).collect()
    }

    #[test]
    fn the_newest_come_in_order_of_time_whatever_order_they_lie_in() {
        let data = [(5, 1.0), (900, 2.0), (7, 3.0), (901, 4.0), (8, 5.0)];
        assert_eq!(chosen("latest", 2, &data), [(900, 2.0), (901, 4.0)]);
        assert_eq!(chosen("", 100, &data).len(), 5);
    }

    #[test]
    fn no_peak_is_lost_by_minmax_and_answers_are_bounded() {
        let mut data: Vec<_> = (0..1000).map(|at| (at, (at % 7) as f64)).collect();
        data[333].1 = 1e6;
        data[777].1 = -1e6;
        let found = chosen("minmax", 10, &data);
        assert!(found.len() <= 20 && found.contains(&(333, 1e6)) && found.contains(&(777, -1e6)));
        assert!(found.is_sorted_by_key(|(at, _)| *at));
        let mut texts = Chosen::new(Wanted::Extremes(3), (0, 999));
        (0..100).for_each(|at| texts.take(at, None, || json!("text")));
        assert_eq!(texts.data().len(), 3);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let asked = |start, end, strategy: &str, size| Asked {
            start,
            end,
            strategy: Some(strategy.to_owned()),
            size: Some(size),
        };
        assert_eq!(span(&asked(Some(2.0), Some(1.0), "", 1)), None);
        assert_eq!(span(&asked(Some(f64::NAN), None, "", 1)), None);
        assert_eq!(span(&asked(Some(-5.0), Some(1e300), "", 1)), Some((0, u64::MAX)));
        assert!(Wanted::of(&asked(None, None, "all", 1)).is_none());
        assert!(Wanted::of(&asked(None, None, "latest", 10_001)).is_none());
        assert!(find("housekeeping.power").is_some());
        for bad in ["housekeeping", "housekeeping.", "x.power", ""] {
            assert!(find(bad).is_none(), "{bad}");
        }
    }
}
