//! FLUTE (RFC 6726) by the `flute` crate: a carousel with `RaptorQ` blocks and 30 % of repair symbols.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use flute::core::{Oti, UDPEndpoint};
use flute::receiver::writer::ObjectWriterBufferBuilder;
use flute::receiver::{self, MultiReceiver};
use flute::sender::{CarouselRepeatMode, Config, ObjectDesc, Sender, TransferConfig};
use passband_ground::bench::transfer::scenario::{Figures, Scenario};

/// With its headers, a packet of this symbol fills an Ethernet frame.
const SYMBOL_BYTES: u16 = 1408;
const BLOCK_SYMBOLS: u16 = 2000;
const REPAIR_PERCENT: f64 = 30.0;
const REPAIR_SYMBOLS: u16 = 600;
/// Longer than any scenario.
const FOREVER: Duration = Duration::from_hours(365 * 24);

/// Passes for a receiver that begins anew in each: what it lacks after so many it lacks for ever.
const FORGETFUL_PASSES: u32 = 12;

/// How the receiver treats an object of which nothing comes for a while.
#[derive(Clone, Copy)]
struct Patience {
    name: &'static str,
    /// How long it waits in the time of this process; all of a pass takes far less than the first such
    /// time, and the gap between passes takes longer.
    timeout: Option<Duration>,
}

/// Measures it, with an endless timeout and with one that ends in every gap, as its default of 10 s does.
pub fn measure(
    scenario: &Scenario,
    content: &[u8],
    each: &mut dyn FnMut(&Figures) -> Result<()>,
) -> Result<()> {
    let endless = Patience { name: "flute 1.11 (RaptorQ +30 %, no timeout)", timeout: None };
    // Its timeouts read the system's clock, which can't wait 85 minutes: the clock is scaled instead.
    let scaled = Duration::from_secs_f64(0.2 + content.len() as f64 / 32e6);
    let usual = Patience { name: "flute 1.11 (RaptorQ +30 %, its timeout)", timeout: Some(scaled) };
    for patience in [endless, usual] {
        each(&transfer(scenario, content, patience)?)?;
    }
    Ok(())
}

fn transfer(scenario: &Scenario, content: &[u8], patience: Patience) -> Result<Figures> {
    let endpoint = UDPEndpoint::new(None, "224.0.0.1".to_owned(), 5000);
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut sender = sender(content, endpoint.clone(), start)?;
    let output = Rc::new(ObjectWriterBufferBuilder::new(true));
    let config = receiver::Config {
        object_timeout: patience.timeout,
        object_max_cache_size: Some(1 << 30),
        enable_fdt_expiration_check: false,
        ..receiver::Config::default()
    };
    let mut receiver = MultiReceiver::new(output.clone(), Some(config), false);
    let mut losses = scenario.losses();
    let (mut bytes, mut pass) = (0, 0);
    let most_passes =
        patience.timeout.map_or(scenario.most_passes, |_| scenario.most_passes.min(FORGETFUL_PASSES));
    for n in 0..u64::from(most_passes) * scenario.pass_datagrams {
        let now = start + Duration::from_secs_f64(scenario.time_s(n));
        if n / scenario.pass_datagrams > pass {
            pass = n / scenario.pass_datagrams;
            // The receiver sees the gap.
            if let Some(timeout) = patience.timeout {
                std::thread::sleep(timeout + Duration::from_millis(100));
            }
            receiver.cleanup(now);
        }
        // Nothing to send is a datagram's time gone by.
        let Some(packet) = sender.read(now) else { continue };
        bytes += packet.len() as u64;
        if !losses.loses(n) {
            // What it can't use it refuses, which ends nothing.
            let _ = receiver.push(&endpoint, &packet, now);
        }
        let objects = output.objects.borrow();
        if objects.iter().any(|o| o.borrow().complete && o.borrow().data == content) {
            return Ok(Figures::down(patience.name, None, scenario, n + 1, bytes));
        }
    }
    let note = match patience.timeout {
        Some(_) => "the receiver forgets what it has between passes",
        None => "not in all passes",
    };
    let note = format!("{note}: given up after {most_passes} passes");
    Ok(Figures::never(patience.name, None, note))
}

fn sender(content: &[u8], endpoint: UDPEndpoint, start: SystemTime) -> Result<Sender> {
    let failed = |e| anyhow!("flute: {e:?}");
    let mut oti = Oti::new_raptorq(SYMBOL_BYTES, BLOCK_SYMBOLS, REPAIR_SYMBOLS, 1, 4).map_err(failed)?;
    oti.parity_symbols_percentage = Some(REPAIR_PERCENT);
    let config = Config { fdt_duration: FOREVER, ..Config::default() };
    let mut sender = Sender::new(endpoint, 1, &oti, &config);
    let repeat = TransferConfig {
        max_transfer_count: u32::MAX,
        carousel_mode: Some(CarouselRepeatMode::DelayBetweenTransfers(Duration::ZERO)),
        ..TransferConfig::default()
    };
    let url = url::Url::parse("file:///payload.bin").context("a URL")?;
    let object =
        ObjectDesc::create_from_buffer(content.to_vec(), "application/octet-stream", &url, true, repeat);
    sender.add_object(0, object.map_err(failed)?).map_err(failed)?;
    sender.publish(start).map_err(failed)?;
    Ok(sender)
}
