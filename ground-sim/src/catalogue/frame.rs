//! A frame in one place: `OUT/frames/NAME-ID/`, whatever came down of it and in however many products.
//!
//! The files of its products are hard links, which take no room (copies, where the file system has none); a cube
//! in strips is put together by [`super::strips`]. `frame.json` says what is there, `detections.geojson` where
//! plumes are, `item.json` all of it as a STAC item. Everything is written aside and renamed, and can be made
//! again from the products at any time.
//!
//! A product is of the frame as long as its folder is in OUT or the frame's folder holds what was in it. A fault of
//! one product never keeps another out; while a frame has a fault, every update links all of its products anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use passband_proto::bundle::safe_name;
use passband_proto::ids::Class;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entry::{Product, read_bounded, read_detections};
use super::fault::{self, Fault};
use super::source::read_header;
use super::strips::{self, Cube};
use super::{files, geojson, item, proof};
use crate::station::write_aside;

/// Largest `frame.json` that is read, bytes.
const MAX_FRAME_BYTES: u64 = 64 << 20;
/// Most products that are kept of one frame.
const MAX_PRODUCTS: usize = 10_000;

/// A frame and what there is of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Version of this record, now 1.
    pub schema: u32,
    /// Its name.
    pub frame: String,
    /// Its id, 24 hexadecimal digits.
    pub frame_id: String,
    /// The spacecraft that took it.
    pub spacecraft: u16,
    /// The most valuable class of its products.
    pub class: Class,
    /// When it was accepted on board, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// The tasking that asked for it.
    pub tasking: Option<String>,
    /// Why it has its class.
    pub reason: Option<String>,
    /// The gas that was looked for.
    pub gas: Option<String>,
    /// Probability that it holds a plume.
    pub probability: Option<f64>,
    /// Plumes found.
    pub detections: Option<u64>,
    /// Its cube, as far as it is there.
    pub cube: Option<Cube>,
    /// The files of its other products, by name.
    pub files: Vec<String>,
    /// What went wrong when it was put together.
    pub fault: Option<String>,
    /// `[latitude, longitude]` of the detections, degrees.
    pub positions: Vec<[f64; 2]>,
    /// The products it was put together from, the oldest first.
    pub products: Vec<Product>,
}

impl Frame {
    /// The frame that a folder below `OUT/frames` holds.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("frame.json");
        let frame: Self = serde_json::from_slice(&read_bounded(&path, MAX_FRAME_BYTES)?)
            .with_context(|| path.display().to_string())?;
        ensure!(frame.schema == 1, "{}: schema {} (this version knows 1)", path.display(), frame.schema);
        Ok(frame)
    }

    /// Takes products into their frame, which must be one, and writes what there is of it. `listed` gives the
    /// products of it that are in the list: they are asked for where the frame has to begin anew. What could not
    /// be put together is given beside, and said in [`Frame::fault`].
    ///
    /// # Errors
    /// Products of no frame, or those of the disk.
    pub(super) fn update(
        out: &Path,
        products: &[Product],
        listed: impl FnOnce() -> Result<Vec<Product>>,
    ) -> Result<(Self, Vec<Fault>)> {
        let first = products.first().context("no product")?;
        let (name, id) = first.frame_key().context("it was made from no frame")?;
        let folder = folder(out, name, id);
        fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
        let (mut frame, sound) = match Self::read(&folder) {
            Ok(frame) => {
                let sound = frame.fault.is_none();
                (frame, sound)
            }
            Err(e) if is_lost(&e) => (Self::begin(first, name, id, listed()?), false),
            Err(e) => return Err(e),
        };
        frame.take(products);
        if !frame.cube.as_ref().is_some_and(|cube| strips::is_there(&folder, cube)) {
            frame.cube = proof::proven(&folder, &frame.products).or(frame.cube);
        }
        let mut faults = frame.forget(out, &folder);
        ensure!(frame.products.len() <= MAX_PRODUCTS, "more than {MAX_PRODUCTS} products of frame {name}");
        frame.sum_up();
        let all = if sound { products.to_vec() } else { frame.products.clone() };
        frame.link(out, &folder, &all, &mut faults);
        if let Err(e) = frame.put_together(out, &folder, &mut faults) {
            faults.push(Fault::of_cube(&e));
        }
        frame.fault = fault::joined(&faults);
        frame.write(&folder)?;
        Ok((frame, faults))
    }

    /// Says which products' files the frame's folder holds, so that their own folders may go.
    pub(super) fn holds<'a>(&'a self, folder: &'a Path) -> impl Fn(&Product) -> bool + 'a {
        let cube = self.cube.as_ref().filter(|cube| strips::is_there(folder, cube));
        let placed = move |part| cube.is_some_and(|cube| cube.placed.contains(&part));
        move |product| match product.part {
            Some((part, _)) if product.is_strip() => placed(part),
            _ => files::holds(folder, product),
        }
    }

    /// A frame of which nothing can be read, with what is in the list of it.
    fn begin(product: &Product, name: &str, id: &str, listed: Vec<Product>) -> Self {
        Self {
            schema: 1,
            frame: name.to_owned(),
            frame_id: id.to_owned(),
            spacecraft: product.spacecraft,
            class: product.class,
            created_unix_ms: product.created_unix_ms,
            tasking: None,
            reason: None,
            gas: None,
            probability: None,
            detections: None,
            cube: None,
            files: Vec::new(),
            fault: None,
            positions: Vec::new(),
            products: listed,
        }
    }

    fn take(&mut self, products: &[Product]) {
        for product in products {
            self.products.retain(|known| known.id != product.id);
            self.products.push(product.clone());
        }
        self.products
            .sort_by(|a, b| (a.created_unix_ms, a.part, &a.id).cmp(&(b.created_unix_ms, b.part, &b.id)));
    }

    /// Leaves out the products that are neither in OUT any more nor in the frame's folder.
    fn forget(&mut self, out: &Path, folder: &Path) -> Vec<Fault> {
        let products = std::mem::take(&mut self.products);
        let held = self.holds(folder);
        let is_here = |product: &Product| out.join(&product.folder).is_dir() || held(product);
        let (here, gone): (Vec<_>, Vec<_>) = products.into_iter().partition(is_here);
        drop(held);
        self.products = here;
        gone.iter().map(Fault::gone).collect()
    }

    /// Takes over what the newest product says of the frame; its class is the most valuable one.
    fn sum_up(&mut self) {
        let Some(newest) = self.products.last() else { return };
        self.spacecraft = newest.spacecraft;
        self.class = self.products.iter().map(|p| p.class).min().unwrap_or(newest.class);
        self.created_unix_ms = self.products.iter().map(|p| p.created_unix_ms).min().unwrap_or_default();
        let newest = || self.products.iter().rev();
        self.tasking = newest().find_map(|p| p.tasking.clone());
        self.reason = newest().find_map(|p| p.reason.clone());
        self.gas = newest().find_map(|p| p.gas.clone());
        self.probability = newest().find_map(|p| p.probability);
        self.detections = newest().find_map(|p| p.detections);
        let positions = newest().map(|p| &p.positions).find(|positions| !positions.is_empty());
        self.positions = positions.cloned().unwrap_or_default();
    }

    /// Links the files of products into the frame's folder; strips stay where they are.
    fn link(&mut self, out: &Path, folder: &Path, products: &[Product], faults: &mut Vec<Fault>) {
        for product in products.iter().filter(|product| !product.is_strip()) {
            let from = out.join(&product.folder);
            let is_here = from.is_dir();
            for name in files::of(product).map(|file| &file.name) {
                if let Err(e) = if is_here { files::link(&from, folder, name) } else { Ok(()) } {
                    faults.push(Fault::of(product, &e));
                } else if product.product != "cube" && !self.files.contains(name) {
                    self.files.push(name.clone());
                }
            }
        }
        self.files.sort();
    }

    /// The cube: as it came, or of its strips.
    fn put_together(&mut self, out: &Path, folder: &Path, faults: &mut Vec<Fault>) -> Result<()> {
        if self.cube.as_ref().is_some_and(|cube| cube.whole && strips::is_there(folder, cube)) {
            return Ok(());
        }
        let is_one = |p: &&Product| p.product == "cube" && !p.is_strip() && files::holds(folder, p);
        self.cube = if let Some(product) = self.products.iter().rev().find(is_one) {
            of_one(folder, product)?
        } else {
            let lines = self.verdict(folder).and_then(|verdict| verdict.get("lines")?.as_u64());
            strips::assemble(out, folder, &self.products, self.cube.as_ref(), lines, faults)?
        };
        Ok(())
    }

    /// What the detector said, if it is there.
    pub(super) fn verdict(&self, folder: &Path) -> Option<Value> {
        let name = self.files.iter().find(|name| name.ends_with(".detections.json"))?;
        read_detections(&folder.join(name))
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let verdict = self.verdict(folder);
        let place = geojson::place(self, folder);
        let collection = geojson::of_frame(self, verdict.as_ref(), place.as_ref());
        let item = item::of_frame(self, folder, verdict.as_ref(), place.as_ref());
        write_aside(&folder.join("detections.geojson"), &serde_json::to_vec_pretty(&collection)?)?;
        write_aside(&folder.join("item.json"), &serde_json::to_vec_pretty(&item)?)?;
        write_aside(&folder.join("frame.json"), &serde_json::to_vec_pretty(self)?)
    }
}

/// The folder of a frame.
#[must_use]
pub fn folder(out: &Path, name: &str, id: &str) -> PathBuf {
    let plain = |c: char| if c.is_control() || c.is_whitespace() || "/\\".contains(c) { '-' } else { c };
    let plain: String = name.chars().map(plain).collect();
    let name = format!("{}-{}", plain.trim_start_matches('.'), id.get(..8).unwrap_or(id));
    out.join("frames").join(if safe_name(&name) { &name } else { id })
}

/// The folders of all frames, in the order of their names.
///
/// # Errors
/// `OUT/frames` is there and can't be read.
pub fn folders(out: &Path) -> Result<Vec<PathBuf>> {
    let frames = out.join("frames");
    let entries = match fs::read_dir(&frames) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(|| format!("reading {}", frames.display())),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", frames.display()))?.path();
        if path.join("frame.json").is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Whether `frame.json` isn't there, or nothing can be made of it; anything else may pass.
fn is_lost(e: &anyhow::Error) -> bool {
    let io = e.downcast_ref::<io::Error>();
    io.is_some_and(|e| e.kind() == io::ErrorKind::NotFound) || e.is::<serde_json::Error>()
}

/// A cube that came as the camera's own files.
fn of_one(folder: &Path, product: &Product) -> Result<Option<Cube>> {
    let is_header = |name: &str| name.to_lowercase().ends_with(".hdr");
    let header = product.files.iter().find(|file| is_header(&file.name));
    let data = product.files.iter().find(|file| !is_header(&file.name));
    let (Some(header), Some(data)) = (header, data) else { return Ok(None) };
    let read = read_header(&folder.join(&header.name))?;
    Ok(Some(Cube {
        whole: true,
        header: header.name.clone(),
        data: data.name.clone(),
        lines: read.lines as u64,
        missing_lines: Vec::new(),
        parts: 1,
        placed: vec![1],
        lead_bytes: read.header_offset,
    }))
}
