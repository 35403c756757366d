//! Sensors: Linux's thermal zones, hwmon and pressure files, read into [`Readings`].
//!
//! | what | where |
//! | --- | --- |
//! | temperature | `/sys/class/thermal/thermal_zone*/temp`, `/sys/class/hwmon/hwmon*/temp*_input` |
//! | power | `/sys/class/hwmon/hwmon*/power*_input`; of an INA3221 `in*_input` × `curr*_input`; with NVIDIA's kernel 4.9 `/sys/bus/i2c/drivers/ina3221x/*/iio:device*/in_power*_input` |
//! | stalls | `/proc/pressure/{cpu,memory,io}`; on kernels before 4.20 `/proc/loadavg` and `/proc/vmstat` |
//! | memory | `/proc/meminfo`, `/proc/self/status`, `/proc/self/stat` |
//!
//! Any of them may lack. A sensor may take its time: this is for a thread that others don't wait for. Nothing is
//! written anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::os::read_text;
use crate::health::{Gauge, Readings, parse};
use crate::ordered;

/// Most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 256;
/// Most sensors that are read.
const MAX_SENSORS: usize = 128;
/// Longest value of a sensor, bytes.
const MAX_VALUE_BYTES: u64 = 64;
/// Longest file of `/proc`, bytes.
const MAX_PROC_BYTES: u64 = 64 << 10;
/// Sensors are looked for anew after so many readings.
const LOOK_EVERY: u32 = 120;
/// A direct reclaim is taken for so much time, ms.
const RECLAIM_MS: f64 = 10.0;
/// Ticks of `/proc` in a second, the same on all machines that Linux runs on here (`USER_HZ`).
pub const TICKS_PER_S: u64 = 100;
/// A zone of Jetson boards that isn't measured: it says 100 °C for ever.
const NOT_MEASURED: &str = "PMIC-Die";

/// Reads sensors.
#[derive(Debug)]
pub struct Sensors {
    root: PathBuf,
    found: Vec<Sensor>,
    readings: u32,
    refused: u64,
    /// Direct reclaims so far, and when that was, ms.
    reclaims: Option<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sensor {
    One(Gauge, PathBuf),
    /// Voltage and current of one wire.
    Wire(PathBuf, PathBuf),
}

impl Sensors {
    /// Sensors below `root`, which is `/` but in tests.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), found: Vec::new(), readings: 0, refused: 0, reclaims: None }
    }

    /// Reads all of them. Refused readings are counted over the life of this reader.
    pub fn read(&mut self, now_ms: u64) -> Readings {
        if self.readings.is_multiple_of(LOOK_EVERY) {
            self.found = self.look_for_sensors();
        }
        self.readings = self.readings.wrapping_add(1);
        let mut out = Readings { refused: self.refused, ..Readings::default() };
        for sensor in &self.found {
            match sensor {
                // One that doesn't answer is not there.
                Sensor::One(gauge, path) => {
                    if let Some(text) = value(path) {
                        out.take(*gauge, &text);
                    }
                }
                Sensor::Wire(volts, amperes) => take_wire(&mut out, volts, amperes),
            }
        }
        self.read_pressure(now_ms, &mut out);
        self.read_process(&mut out);
        self.refused = out.refused;
        out
    }

    fn read_pressure(&mut self, now_ms: u64, out: &mut Readings) {
        let psi = |what: &str, line| {
            self.proc(&format!("pressure/{what}")).and_then(|text| parse::psi_avg10(&text, line))
        };
        let (cpu, memory, io) = (psi("cpu", "some"), psi("memory", "full"), psi("io", "full"));
        let available = self.proc("meminfo").and_then(|text| parse::memory_available_percent(&text));
        let cpu = cpu.or_else(|| self.overload_percent());
        let memory = memory.or_else(|| self.reclaim_percent(now_ms));
        out.memory_available_percent = out.percent(available);
        out.cpu_stall_percent = out.percent(cpu);
        out.memory_stall_percent = out.percent(memory);
        out.io_stall_percent = out.percent(io);
    }

    /// How far the load is above the number of processors, percent of it.
    fn overload_percent(&self) -> Option<f64> {
        let load = parse::load_1min(&self.proc("loadavg")?)?;
        let processors = parse::processors(&self.proc("stat")?).max(1) as f64;
        Some(if load <= processors { 0.0 } else { 100.0 * (load - processors) / load })
    }

    /// The share of time that work spent freeing memory since the last reading, a guess.
    fn reclaim_percent(&mut self, now_ms: u64) -> Option<f64> {
        let count = parse::direct_reclaims(&self.proc("vmstat")?)?;
        let (before, before_ms) = self.reclaims.replace((count, now_ms))?;
        let ms = now_ms.checked_sub(before_ms).filter(|ms| *ms > 0)?;
        let stalled_ms = count.saturating_sub(before) as f64 * RECLAIM_MS;
        Some((100.0 * stalled_ms / ms as f64).min(100.0))
    }

    fn read_process(&self, out: &mut Readings) {
        let resident = self.proc("self/status").and_then(|text| parse::field(&text, "VmRSS"));
        out.process_bytes = resident.map(|kib| kib.saturating_mul(1024));
        let stat = self.proc("self/stat").and_then(|text| parse::process_stat(&text));
        out.process_cpu_ms = stat.map(|stat| stat.own_ticks.saturating_mul(1000 / TICKS_PER_S));
    }

    fn proc(&self, name: &str) -> Option<String> {
        read_text(&self.root.join("proc").join(name), MAX_PROC_BYTES).ok()
    }

    fn look_for_sensors(&self) -> Vec<Sensor> {
        let at = |path: &str| self.root.join(path);
        let mut out = Vec::new();
        for zone in entries(&at("sys/class/thermal"), "thermal_zone") {
            if value(&zone.join("type")).is_none_or(|kind| kind.trim() != NOT_MEASURED) {
                out.push(Sensor::One(Gauge::Temperature, zone.join("temp")));
            }
        }
        for chip in entries(&at("sys/class/hwmon"), "hwmon") {
            look_at_chip(&chip, &mut out);
        }
        for device in entries(&at("sys/bus/i2c/drivers/ina3221x"), "") {
            for iio in entries(&device, "iio:device") {
                let powers = entries(&iio, "in_power").into_iter().filter(|path| is_input(path));
                out.extend(powers.map(|path| Sensor::One(Gauge::PowerMilli, path)));
            }
        }
        out.truncate(MAX_SENSORS);
        out
    }
}

fn look_at_chip(chip: &Path, out: &mut Vec<Sensor>) {
    let inputs = |kind: &str| entries(chip, kind).into_iter().filter(|path| is_input(path));
    out.extend(inputs("temp").map(|path| Sensor::One(Gauge::Temperature, path)));
    out.extend(inputs("power").map(|path| Sensor::One(Gauge::Power, path)));
    if value(&chip.join("name")).is_some_and(|name| name.trim() == "ina3221") {
        // Its first three voltages are those of its three wires.
        let wire = |n| (chip.join(format!("in{n}_input")), chip.join(format!("curr{n}_input")));
        let wires = (1..=3).map(wire).filter(|(volts, amperes)| volts.exists() && amperes.exists());
        out.extend(wires.map(|(volts, amperes)| Sensor::Wire(volts, amperes)));
    }
}

fn take_wire(out: &mut Readings, volts: &Path, amperes: &Path) {
    let (Some(volts), Some(amperes)) = (value(volts), value(amperes)) else { return };
    let (Some(volts), Some(amperes)) = (Gauge::Voltage.read(&volts), Gauge::Current.read(&amperes)) else {
        out.refused = out.refused.saturating_add(1);
        return;
    };
    // Whichever way the current flows.
    let watts = (volts * amperes).abs();
    out.power_w = Some(out.power_w.map_or(watts, |held| held.max(watts)));
}

fn is_input(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("_input"))
}

/// What is in a folder and begins so, in order.
fn entries(folder: &Path, begin: &str) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    let named = found.take(MAX_ENTRIES).flatten().filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(begin)
    });
    let mut out: Vec<_> = named.map(|entry| entry.path()).collect();
    ordered::sort_by(&mut out, Ord::cmp);
    out
}

fn value(path: &Path) -> Option<String> {
    read_text(path, MAX_VALUE_BYTES).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with these files.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn all_that_a_recent_kernel_has_is_read() {
        let dir = tree(&[
            ("sys/class/thermal/thermal_zone0/type", "CPU-therm\n"),
            ("sys/class/thermal/thermal_zone0/temp", "61500\n"),
            ("sys/class/thermal/thermal_zone1/type", "PMIC-Die\n"),
            ("sys/class/thermal/thermal_zone1/temp", "100000\n"),
            ("sys/class/thermal/thermal_zone2/temp", "-273150\n"),
            ("sys/class/thermal/cooling_device0/temp", "99000\n"),
            ("sys/class/hwmon/hwmon0/name", "ina3221\n"),
            ("sys/class/hwmon/hwmon0/in1_input", "5000\n"),
            ("sys/class/hwmon/hwmon0/curr1_input", "2500\n"),
            ("sys/class/hwmon/hwmon0/in2_input", "5000\n"),
            ("sys/class/hwmon/hwmon1/name", "nvme\n"),
            ("sys/class/hwmon/hwmon1/temp1_input", "71000\n"),
            ("sys/class/hwmon/hwmon1/temp1_max", "90000\n"),
            ("sys/class/hwmon/hwmon1/power1_input", "3000000\n"),
            ("proc/pressure/cpu", "some avg10=12.00 avg60=0.00 avg300=0.00 total=0\n"),
            (
                "proc/pressure/memory",
                "some avg10=9.00 total=0\nfull avg10=4.50 avg60=0.00 avg300=0.00 total=0\n",
            ),
            ("proc/pressure/io", "some avg10=9.00 total=0\nfull avg10=900 avg60=0.00 avg300=0.00 total=0\n"),
            ("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\n"),
            ("proc/self/status", "Name:\tx\nVmRSS:\t    20 kB\n"),
            ("proc/self/stat", "1 (x) S 1 1 1 0 -1 0 0 0 0 0 20 3 5 1 20 0 1 0 9 10000 321 1"),
        ]);
        let readings = Sensors::new(dir.path()).read(1);
        let expected = Readings {
            temperature_c: Some(71.0),
            power_w: Some(12.5),
            memory_available_percent: Some(40.0),
            memory_stall_percent: Some(4.5),
            io_stall_percent: None,
            cpu_stall_percent: Some(12.0),
            process_bytes: Some(20_480),
            process_cpu_ms: Some(230),
            refused: 2,
        };
        assert_eq!(readings, expected, "-273 degrees and 900 percent are refused");
    }

    #[test]
    fn a_jetson_with_kernel_4_9_is_read_without_pressure_files() {
        let dir = tree(&[
            ("sys/bus/i2c/drivers/ina3221x/0-0041/iio:device1/in_power0_input", "9500\n"),
            ("sys/bus/i2c/drivers/ina3221x/0-0040/iio:device0/in_power0_input", "2500\n"),
            ("sys/bus/i2c/drivers/ina3221x/0-0040/iio:device0/in_power0_trigger", "70000\n"),
            ("proc/loadavg", "8.00 1.00 0.50 2/345 6789\n"),
            ("proc/stat", "cpu  1\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\ncpu4 1\ncpu5 1\n"),
            ("proc/vmstat", "allocstall_normal 100\nallocstall_movable 5\n"),
        ]);
        let mut sensors = Sensors::new(dir.path());
        let first = sensors.read(1_000);
        assert_eq!((first.power_w, first.cpu_stall_percent), (Some(9.5), Some(25.0)));
        assert_eq!((first.memory_stall_percent, first.io_stall_percent), (None, None));
        fs::write(dir.path().join("proc/vmstat"), "allocstall_normal 150\nallocstall_movable 5\n").unwrap();
        assert_eq!(sensors.read(6_000).memory_stall_percent, Some(10.0), "50 of 10 ms in 5 s");
    }

    #[test]
    fn nothing_at_all_and_nonsense_are_no_readings() {
        let dir =
            tree(&[("proc/pressure/cpu", &"x".repeat(99_999)), ("sys/class/hwmon/hwmon0/temp1_input", "")]);
        let mut sensors = Sensors::new(dir.path());
        assert_eq!(sensors.read(1), Readings { refused: 1, ..Readings::default() });
        assert_eq!(sensors.read(2).refused, 2, "counted on");
        assert_eq!(Sensors::new(&dir.path().join("none")).read(1), Readings::default());
        let many: Vec<_> = (0..300).map(|n| format!("sys/class/thermal/thermal_zone{n}/temp")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "40000")).collect();
        let mut sensors = Sensors::new(tree(&many).path());
        sensors.read(1);
        assert!(sensors.found.len() <= MAX_SENSORS);
    }

    #[test]
    fn this_machine_is_read() {
        let readings = Sensors::new(Path::new("/")).read(1);
        assert!(readings.process_bytes.is_some_and(|bytes| bytes > 100_000), "{readings:?}");
        assert!(readings.memory_available_percent.is_some() && readings.process_cpu_ms.is_some());
    }
}
