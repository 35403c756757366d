//! Server-sent events (WHATWG HTML, section 9.2): the page's snapshots, and data for Open MCT.
//!
//! What is sent is looked for twice a second. A client that doesn't read loses its connection with its buffers full, and
//! catches up when it comes again; nobody waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream;
use passband_proto::dict::PacketDef;
use passband_proto::packet::TelemetryPacket;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::history::{datum, find, value};
use super::{Of, Question, Shared, api, error};
use crate::dictionary::openmct;

/// How often it is looked for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A snapshot comes at least so often, in looks: passes go on by themselves, and a connection that is gone is seen.
const LOOKS_AT_MOST: u32 = 10;
/// Most channels of a stream.
const MOST_KEYS: usize = 256;

/// What one who follows has seen.
struct Follower {
    ground: Shared,
    /// A place among those who follow.
    _place: OwnedSemaphorePermit,
    seen: u64,
    looks: u32,
}

impl Follower {
    fn new(ground: &Shared, seen: u64) -> Option<Self> {
        let place = Arc::clone(&ground.streams).try_acquire_owned().ok()?;
        Some(Self { ground: Arc::clone(ground), _place: place, seen, looks: LOOKS_AT_MOST })
    }
}

/// Snapshots, whenever something has changed.
pub(super) async fn snapshots(State(ground): Of) -> Response {
    let Some(follower) = Follower::new(&ground, 0) else { return full() };
    Sse::new(stream::unfold(follower, next_snapshot)).into_response()
}

async fn next_snapshot(mut follower: Follower) -> Option<(Result<Event, Infallible>, Follower)> {
    loop {
        let version = follower.ground.feed.version();
        follower.looks += 1;
        if version != follower.seen || follower.looks >= LOOKS_AT_MOST {
            let first = follower.seen == 0;
            (follower.seen, follower.looks) = (version, 0);
            if !first {
                // So that many changes in a row are one event.
                sleep(LOOK_EVERY).await;
                follower.seen = follower.ground.feed.version();
            }
            let event = Event::default().event("snapshot").data(api::document(&follower.ground).ok()?);
            return Some((Ok(event), follower));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Which channels.
#[derive(Debug, Deserialize)]
pub(super) struct Keys {
    keys: String,
}

/// The data of some channels (`keys=a.b,c.d`) as they come.
pub(super) async fn data(State(ground): Of, Question(Keys { keys }): Question<Keys>) -> Response {
    let found: Option<Vec<_>> = keys.split(',').take(MOST_KEYS + 1).map(find).collect();
    let Some(found) = found.filter(|found| found.len() <= MOST_KEYS) else {
        return error(StatusCode::BAD_REQUEST, "keys names at most 256 channels, with commas in between");
    };
    let (last, _) = ground.feed.packets_since(u64::MAX);
    let last = if last == u64::MAX { 0 } else { last };
    let Some(follower) = Follower::new(&ground, last) else { return full() };
    Sse::new(data_of(follower, found)).into_response()
}

fn data_of(
    follower: Follower,
    keys: Vec<(&'static PacketDef, usize)>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((follower, keys), async |(mut follower, keys)| {
        loop {
            let (last, packets) = follower.ground.feed.packets_since(follower.seen);
            follower.seen = last;
            follower.looks += 1;
            let packets = packets.iter().filter_map(|stored| TelemetryPacket::parse(&stored.packet).ok());
            let data: Vec<Json> = packets.flat_map(|packet| data_in(&packet, &keys)).collect();
            if !data.is_empty() {
                let event = Event::default().event("data").data(Json::from(data).to_string());
                return Some((Ok(event), (follower, keys)));
            }
            if follower.looks >= LOOKS_AT_MOST {
                follower.looks = 0;
                return Some((Ok(Event::default().comment("")), (follower, keys)));
            }
            sleep(LOOK_EVERY).await;
        }
    })
}

fn data_in(packet: &TelemetryPacket<'_>, keys: &[(&'static PacketDef, usize)]) -> Vec<Json> {
    let of = |(def, field): &(&'static PacketDef, usize)| {
        let (known, value) = value(def, *field, packet)?;
        Some(datum(def, known, packet.time().to_unix_ms(), &openmct::value(&value)))
    };
    keys.iter().filter_map(of).collect()
}

fn full() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "too many follow already")
}
