//! What all commands that give orders share: options, and the outbox, whoever works it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use passband_proto::dict::{Order, UploadKind};
use passband_proto::packet::Mode;

use super::super::role_keys::holder;
use super::super::{optional_keys, parse_rate};
use super::{HolderArgs, PATIENCE};
use crate::telemetry::feed::{Source, unix_ms};
use crate::telemetry::{Feed, Heard, Proof, TagKeys};
use crate::uplink::worker::{Turn, Uplink};
use crate::uplink::{About, Entry, Folder, Worker};

/// Where telemetry comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct TelemetryArgs {
    /// Take telemetry from datagrams to this address.
    #[arg(long, value_name = "ADDR:PORT")]
    pub telemetry: Vec<SocketAddr>,
    /// Take telemetry from a file that may grow.
    #[arg(long, value_name = "FILE")]
    pub stream: Vec<PathBuf>,
    /// Take telemetry from a TCP server.
    #[arg(long, value_name = "ADDR:PORT")]
    pub connect: Vec<SocketAddr>,
    /// The key file of bundles and telemetry: only packets whose tag holds are believed. Without it anyone who reaches
    /// the telemetry can have an order believed done.
    #[arg(long, value_name = "FILE")]
    pub telemetry_keys: Option<PathBuf>,
}

/// Whose outbox, where its frames go and where answers come from.
#[derive(Debug, Clone, Args)]
pub struct UplinkArgs {
    /// Whose outbox.
    #[command(flatten)]
    pub holder: HolderArgs,
    /// Where frames go, one datagram each; not needed while another process works the outbox.
    #[arg(long, value_name = "ADDR:PORT")]
    pub to: Option<SocketAddr>,
    /// What the uplink carries, bit/s.
    #[arg(long, value_name = "BPS", default_value = "9600", value_parser = parse_rate)]
    pub rate: u64,
    /// The virtual channel of the frames, 0 to 63, as the satellite is configured.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=63))]
    pub vcid: u8,
    /// Where answers come from.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// An outbox, whoever works it.
#[derive(Debug)]
pub enum Desk {
    /// This process does.
    Works(Box<Worker>),
    /// Another one does.
    Queues(Folder),
}

impl TelemetryArgs {
    /// All sources that are named.
    pub fn sources(&self) -> Vec<Source> {
        let files = self.stream.iter().cloned().map(Source::File);
        let udp = self.telemetry.iter().copied().map(Source::Udp);
        udp.chain(files).chain(self.connect.iter().copied().map(Source::Tcp)).collect()
    }

    /// Opens them.
    ///
    /// # Errors
    /// One can't be opened, or the keys can't be read.
    pub fn open(&self) -> Result<Feed> {
        Feed::open(&self.sources(), TagKeys::new(&optional_keys(self.telemetry_keys.as_deref())?))
    }
}

impl Desk {
    /// Opens the outbox, and works it unless another process does.
    ///
    /// # Errors
    /// Keys, folder or sockets can't be used; nobody works it, and it isn't said where frames go.
    pub fn open(args: &UplinkArgs) -> Result<Self> {
        let key = holder(&args.holder.keys, args.holder.spi)?;
        let folder = Folder::open(&args.holder.state, &key)?;
        let Some(lock) = folder.lock()? else { return Ok(Self::Queues(folder)) };
        let Some(to) = args.to else {
            bail!(
                "nobody works {}: say where frames go with --to, or start `passband-ground uplink run`",
                args.holder.state.display()
            );
        };
        let verified_only = args.telemetry.telemetry_keys.is_some();
        let uplink = Uplink { to, rate_bps: args.rate, vcid: args.vcid, verified_only };
        let worker = Worker::open(folder, lock, &key, uplink, args.telemetry.open()?)?;
        Ok(Self::Works(Box::new(worker)))
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

    /// Waits a moment; works the outbox meanwhile if this process does.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn turn(&mut self) -> Result<Turn> {
        match self {
            Self::Works(worker) => worker.turn(PATIENCE),
            Self::Queues(_) => {
                std::thread::sleep(PATIENCE);
                Ok(Turn::default())
            }
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
            Self::Queues(folder) => folder,
        }
    }
}

/// Whether a packet is to be handed on: never a forged one, and if so asked only one whose tag holds.
#[must_use]
pub fn believed(heard: &Heard, verified_only: bool) -> bool {
    match heard.proof {
        Proof::Verified => true,
        Proof::Unverified => !verified_only,
        Proof::Forged => false,
    }
}
