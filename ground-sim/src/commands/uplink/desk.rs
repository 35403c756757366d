//! What all commands that give orders share: options, and the outbox, whoever works it.

use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use passband_proto::dict::{Order, UploadKind};
use passband_proto::packet::Mode;
use passband_proto::sdls::RoleKey;

use super::super::role_keys::{holder, of_another_spacecraft};
use super::super::{optional_keys, parse_rate, parse_to};
use super::telemetry::{Ears, TelemetryArgs};
use super::{HolderArgs, PATIENCE, told};
use crate::telemetry::Feed;
use crate::telemetry::feed::unix_ms;
use crate::uplink::worker::{Turn, Uplink};
use crate::uplink::{About, Entry, Folder, Hold, Noticed, Worker};

/// Whose outbox, where its frames go and where answers come from.
#[derive(Debug, Clone, Args)]
pub struct UplinkArgs {
    /// Whose outbox.
    #[command(flatten)]
    pub holder: HolderArgs,
    /// Where frames go, one datagram each; not needed while another process works the outbox.
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_to)]
    pub to: Option<SocketAddr>,
    /// What the uplink carries, bit/s.
    #[arg(long, value_name = "BPS", default_value = "9600", value_parser = parse_rate)]
    pub rate: u64,
    /// The virtual channel of the frames, 0 to 63, as the satellite is configured.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=63))]
    pub vcid: u8,
    /// For how long an order stays armed on board, s: the parameter command.arm. Without it as telemetry says, and 60 until it
    /// does. A step of a hazardous order that isn't answered by then is sent no more.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub arm_time: Option<u64>,
    /// Where answers come from.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// An outbox, whoever works it.
#[derive(Debug)]
pub enum Desk {
    /// This process does.
    Works(Box<Worker>),
    /// Another one does; when it ends, this one takes over.
    Queues(Box<Queue>),
}

/// An outbox that another process works, or that something is only put into.
#[derive(Debug)]
pub struct Queue {
    folder: Folder,
    args: UplinkArgs,
    /// Whether nobody is to work it here.
    only: bool,
    /// Whether it was said that nobody works it any more.
    told: bool,
}

impl Desk {
    /// Opens the outbox, and works it unless another process does.
    ///
    /// # Errors
    /// Keys, folder or sockets can't be used; nobody works it, and it isn't said where frames go.
    pub fn open(args: &UplinkArgs) -> Result<Self> {
        let key = holder(&args.holder.keys, args.holder.spi)?;
        let telemetry = optional_keys(args.telemetry.telemetry_keys.as_deref())?;
        if let Some(why) = of_another_spacecraft(&key, &args.holder.keys, &telemetry) {
            tracing::warn!("{why}");
        }
        let folder = Folder::open(&args.holder.state, &key)?;
        let state = args.holder.state.display();
        let Some(lock) = folder.lock()? else {
            if let Some(to) = args.to {
                tracing::warn!(
                    "another process works {state}: frames go where it was told, whether that is {to} or not"
                );
            }
            // Now, and not only once that process has ended.
            args.telemetry.check()?;
            return Ok(Self::queue_into(folder, args, false));
        };
        let Some(to) = args.to else {
            bail!(
                "nobody works {state}: say where frames go with --to, or start `passband-ground uplink run`"
            );
        };
        work(folder, lock, &key, to, args, args.telemetry.open()?)
    }

    /// Opens the outbox, and only puts things into it.
    ///
    /// # Errors
    /// Keys or folder can't be used.
    pub fn only_queue(args: &UplinkArgs) -> Result<Self> {
        let folder = Folder::open(&args.holder.state, &holder(&args.holder.keys, args.holder.spi)?)?;
        Ok(Self::queue_into(folder, args, true))
    }

    fn queue_into(folder: Folder, args: &UplinkArgs, only: bool) -> Self {
        Self::Queues(Box::new(Queue { folder, args: args.clone(), only, told: false }))
    }

    /// Queues an order.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn queue(&self, step: Mode, order: &Order) -> Result<Entry> {
        self.folder().queue(step, order, unix_ms())
    }

    /// Queues a file.
    ///
    /// # Errors
    /// It can't be sent up, or those of the disk.
    pub fn queue_upload(&self, kind: UploadKind, name: &str, content: &[u8], piece: usize) -> Result<About> {
        self.folder().queue_upload(kind, name, content, piece, unix_ms())
    }

    /// An order as it stands.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn order(&self, number: u32) -> Result<Option<Entry>> {
        match self {
            Self::Works(worker) if worker.outbox().order(number).is_some() => {
                Ok(worker.outbox().order(number).cloned())
            }
            _ => self.folder().order(number),
        }
    }

    /// A file as it stands.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn upload(&self, id: [u8; 4]) -> Result<Option<About>> {
        self.folder().upload(id)
    }

    /// What orders wait for, if they do.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn hold(&self) -> Result<Hold> {
        match self {
            Self::Works(worker) => Ok(worker.hold()),
            Self::Queues(queue) => Hold::in_folder(&queue.folder, unix_ms()),
        }
    }

    /// Waits a moment; works the outbox meanwhile if this process does.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn turn(&mut self) -> Result<Turn> {
        match self {
            Self::Works(worker) => {
                let turn = worker.turn(PATIENCE)?;
                self.hint(&turn);
                Ok(turn)
            }
            Self::Queues(_) => {
                std::thread::sleep(PATIENCE);
                self.take_over(None)?;
                Ok(Turn::default())
            }
        }
    }

    /// Works the outbox if nobody else does any more, and it is known where frames go; `ears` are what telemetry is heard with
    /// here, and are taken then.
    ///
    /// # Errors
    /// Those of the disk; the keys or telemetry can't be had.
    pub fn take_over(&mut self, ears: Option<&mut Option<Ears>>) -> Result<bool> {
        let Self::Queues(queue) = self else { return Ok(false) };
        let Some((lock, to)) = queue.relieved()? else { return Ok(false) };
        let args = queue.args.clone();
        let key = holder(&args.holder.keys, args.holder.spi)?;
        let folder = Folder::open(queue.folder.path(), &key)?;
        let feed = match ears.and_then(Option::take) {
            Some(ears) => ears.all()?,
            None => args.telemetry.open_when_free()?,
        };
        *self = work(folder, lock, &key, to, &args, feed)?;
        Ok(true)
    }

    /// Says what keeps all orders from being taken, so that nobody waits for an answer that can't come.
    fn hint(&self, turn: &Turn) {
        if let Self::Works(worker) = self {
            let hints = turn
                .noticed
                .iter()
                .filter(|n| !matches!(n, Noticed::Order(_) | Noticed::Upload(_) | Noticed::ArmedFor(_)));
            hints.for_each(|noticed| tracing::warn!("{}", told(noticed, worker)));
        }
    }

    /// Sends the acknowledgements that are due in a moment, if this process works the outbox.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn part(&mut self) -> Result<()> {
        let until = std::time::Instant::now() + Duration::from_secs(3);
        while let Self::Works(worker) = self
            && worker.outbox().owes_acknowledgement()
            && std::time::Instant::now() < until
        {
            worker.turn(PATIENCE)?;
        }
        Ok(())
    }

    /// The folder of the outbox.
    pub fn folder(&self) -> &Folder {
        match self {
            Self::Works(worker) => worker.folder(),
            Self::Queues(queue) => &queue.folder,
        }
    }
}

impl Queue {
    /// The lock of an outbox that nobody works any more, and where frames go, if that is known.
    fn relieved(&mut self) -> Result<Option<(File, SocketAddr)>> {
        if self.only || (self.told && self.args.to.is_none()) {
            return Ok(None);
        }
        let Some(lock) = self.folder.lock()? else { return Ok(None) };
        let state = self.args.holder.state.display();
        self.told = true;
        let Some(to) = self.args.to else {
            tracing::warn!(
                "nobody works {state} any more: nothing is sent until `passband-ground uplink run` is started"
            );
            return Ok(None);
        };
        tracing::warn!("nobody works {state} any more: this process does, and sends to {to}");
        Ok(Some((lock, to)))
    }
}

fn work(
    folder: Folder,
    lock: File,
    key: &RoleKey,
    to: SocketAddr,
    args: &UplinkArgs,
    feed: Feed,
) -> Result<Desk> {
    let uplink = Uplink {
        to,
        rate_bps: args.rate,
        vcid: args.vcid,
        verified_only: args.telemetry.telemetry_keys.is_some(),
        arm_ms: args.arm_time.map(|s| s * 1000),
    };
    let mut worker = Worker::open(folder, lock, key, uplink, feed)?;
    worker.name_keys(&args.holder.keys);
    Ok(Desk::Works(Box::new(worker)))
}

#[cfg(test)]
mod tests;
