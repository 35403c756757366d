//! `passband triage` and `passband record`: what is asked of the detector on the command line, and odd frames.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{gas_frame, passband, plume_frame};
use passband_spectral::envi::{DataType, Header};
use passband_spectral::target::Target;
use passband_spectral::triage::{Params, Record};
use serde_json::Value;

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, (header, data): &(Vec<u8>, Vec<u8>)) {
        fs::write(self.at(&format!("{name}.hdr")), header).unwrap();
        fs::write(self.at(&format!("{name}.bil")), data).unwrap();
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let args = args.iter().map(|a| a.replace('@', &format!("{}/", self.0.path().display())));
        let output = passband(args);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The verdict on a frame; every product is written.
    fn look(&self, frame: &str, more: &[&str]) -> Value {
        let header = format!("@{frame}.hdr");
        let (status, out, err) =
            self.run(&[&["triage", header.as_str(), "--out", "@out", "--json"][..], more].concat());
        assert_eq!(status, Some(0), "{err}");
        serde_json::from_str(&out).unwrap()
    }
}

fn fits_a_screen(text: &str) {
    assert!(text.lines().count() <= 24 && text.lines().all(|l| l.chars().count() <= 80), "{text}");
}

#[test]
fn the_verdict_tells_mass_and_rate_where_pixel_and_wind_are_known() {
    let bench = Bench::new();
    bench.put("leak", &plume_frame(3));
    let plain = bench.look("leak", &[]);
    assert_eq!(plain["class"], "alert", "{plain:#}");
    assert!(plain["detections"][0]["mass_kg"].is_null() && plain["detections"][0]["rate_kg_h"].is_null());
    let args = ["triage", "@leak.hdr", "--out", "@out", "--pixel-size", "8", "--wind", "3"];
    let (status, text, err) = bench.run(&args);
    assert_eq!(status, Some(0), "{err}");
    assert!(text.contains(" kg; ") && text.contains(" kg/h") && text.contains("plume 1: "), "{text}");
    fits_a_screen(&text);

    let record = fs::read(bench.at("out/record.bin")).unwrap();
    let record = Record::decode(&record).unwrap();
    let known = bench.look("leak", &["--pixel-size", "8", "--wind", "3"]);
    let rate = known["detections"][0]["rate_kg_h"]["value"].as_f64().unwrap();
    assert!((f64::from(record.top[0].rate_kg_h[0]) - rate).abs() <= 0.5, "{rate}: {record:?}");
    let (status, text, _) = bench.run(&["record", "@out/record.bin"]);
    assert_eq!(status, Some(0));
    assert!(text.starts_with("alert, probability ") && text.contains(&format!("{rate:.0} ± ")), "{text}");
    fits_a_screen(&text);
    let (_, json, _) = bench.run(&["record", "@out/record.bin", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["schema"], &json["class"]), (&1.into(), &"alert".into()));
    assert_eq!(json["top"][0]["rate_kg_h"][0], record.top[0].rate_kg_h[0]);
}

#[test]
fn what_is_no_record_is_refused() {
    let bench = Bench::new();
    for (bytes, why) in [(&b""[..], "not the bytes"), (&[7, 1, 2], "version 7"), (&[1; 600], "more than 512")]
    {
        fs::write(bench.at("r"), bytes).unwrap();
        let (status, out, err) = bench.run(&["record", "@r"]);
        assert!(status == Some(2) && out.is_empty() && err.contains(why), "{err}");
    }
}

#[test]
fn rejected_candidates_are_told_with_the_reason() {
    let bench = Bench::new();
    bench.put("leak", &plume_frame(3));
    fs::write(bench.at("p.toml"), "report_probability = 1\n[logistic]\nbias = -60\n").unwrap();
    let (status, text, err) = bench.run(&["triage", "@leak.hdr", "--out", "@out", "--params", "@p.toml"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(text.contains("leak: routine") && text.contains("\n  rejected ("), "{text}");
    fits_a_screen(&text);
}

#[test]
fn threads_change_no_byte() {
    let bench = Bench::new();
    bench.put("leak", &plume_frame(5));
    let look = |threads: &str| {
        bench.look("leak", &["--threads", threads, "--pixel-size", "8", "--wind", "2"]);
        common::files_below(&bench.at("out"))
    };
    let one = look("1");
    assert_eq!(one.len(), 6, "four products and the chip's two files");
    for threads in ["2", "3", "64"] {
        assert!(look(threads) == one, "{threads}");
    }
}

#[test]
fn the_list_of_parameters_is_a_file_that_is_taken_and_names_what_is_out_of_range() {
    let bench = Bench::new();
    bench.put("leak", &plume_frame(3));
    let (status, list, _) = bench.run(&["triage", "--list-params"]);
    assert_eq!(status, Some(0));
    assert!(list.lines().all(|l| l.chars().count() <= 80), "{list}");
    for row in Params::default().table() {
        let name = row.name.rsplit('.').next().unwrap();
        assert!(list.contains(&format!("\n{name} = {}\n", row.value)), "{name}");
    }
    fs::write(bench.at("p.toml"), &list).unwrap();
    assert_eq!(bench.run(&["triage", "--list-params", "--params", "@p.toml"]).1, list);
    assert_eq!(bench.look("leak", &["--params", "@p.toml"]), bench.look("leak", &[]));
    for (text, named) in [
        ("\nseed_score = -1", "p.toml:2: seed_score: -1 is out of range: must be 0 to 1000"),
        ("[logistic]\nedge = 1e9", "p.toml:2: logistic.edge: 1000000000 is out of range"),
        ("sed_score = 1", "p.toml:1: sed_score: unknown field"),
    ] {
        fs::write(bench.at("p.toml"), text).unwrap();
        let (status, _, err) = bench.run(&["triage", "--list-params", "--params", "@p.toml"]);
        assert!(status == Some(2) && err.contains(named), "{err}");
    }
}

/// A gas that nobody has: one Gaussian band of 30 nm at 2010 nm.
fn made_up_gas() -> String {
    let rows = (1950..=2110).map(|nm| {
        let off = (f64::from(nm) - 2010.0) / 15.0;
        format!("{nm},{:.4e}\n", 3e-5 * (-0.5 * off * off).exp() + 1e-9)
    });
    format!(
        "# name: X2\n# window_nm: 1960 2100\n# molar_mass_g: 44\nwavelength_nm,absorption_per_ppm_m\n{}",
        rows.collect::<String>()
    )
}

#[test]
fn another_gas_is_found_with_its_target_file_and_only_with_it() {
    let bench = Bench::new();
    let text = made_up_gas();
    fs::write(bench.at("x2.csv"), &text).unwrap();
    bench.put("leak", &gas_frame(7, &Target::parse(&text).unwrap(), 6_000.0, 1_955.0));
    let found = bench.look("leak", &["--target", "@x2.csv", "--pixel-size", "8"]);
    assert_eq!((&found["class"], &found["target"]), (&"alert".into(), &"X2".into()), "{found:#}");
    let plume = &found["detections"][0];
    let [line, sample] = [0, 1].map(|i| plume["centroid"][i].as_f64().unwrap());
    assert!((line - 40.0).abs() < 3.0 && (sample - 30.0).abs() < 3.0, "{plume:#}");
    let peak = plume["peak_ppm_m"].as_f64().unwrap();
    assert!((4_000.0..8_000.0).contains(&peak), "{peak}");
    assert!(plume["mass_kg"]["value"].as_f64().unwrap() > 0.0);
    fs::write(bench.at("c.toml"), "[triage]\ntarget = 'x2.csv'\n").unwrap();
    assert_eq!(bench.look("leak", &["--config", "@c.toml"])["target"], "X2");

    let methane = bench.look("leak", &[]);
    assert_eq!(methane["target"], "CH4");
    assert!(methane["bands_used"].as_u64().unwrap() > 40, "it was looked for");
    assert_eq!((&methane["class"], &methane["detections"]), (&"routine".into(), &Value::Array(vec![])));
    fs::write(bench.at("bad.csv"), "# name: X2\n2000,1,1,1\n").unwrap();
    let (status, _, err) = bench.run(&["triage", "@leak.hdr", "--out", "@out", "--target", "@bad.csv"]);
    assert!(status == Some(2) && err.contains("bad.csv: target, line 2"), "{err}");
}

#[test]
fn a_frame_that_says_where_it_is_places_its_plumes() {
    let bench = Bench::new();
    let (header, data) = plume_frame(7);
    bench.put("bare", &(header.clone(), data.clone()));
    let bare = bench.look("bare", &[]);
    assert!(bare["detections"][0].get("position").is_none(), "{bare:#}");
    let place = "map info = {UTM, 1, 1, 600000, 4100000, 8, 8, 11, North, WGS-84, units=Meters}\n";
    bench.put("placed", &([header, place.into()].concat(), data));
    let placed = bench.look("placed", &[]);
    let plume = &placed["detections"][0];
    // Line 40, sample 30: 244 m east and 324 m south of the corner. PROJ 9.5.1: 37.037 947 N, 115.872 820 W.
    let [latitude, longitude] =
        ["latitude_deg", "longitude_deg"].map(|k| plume["position"][k].as_f64().unwrap());
    assert!((latitude - 37.037_947).abs() < 4e-4 && (longitude + 115.872_820).abs() < 4e-4, "{plume:#}");
    let chip = fs::read_to_string(bench.at("out/placed.chip.hdr")).unwrap();
    assert!(
        chip.contains("map info = {UTM, ") && chip.contains(", 600000, 4100000, 8, 8, 11, North, WGS-84"),
        "{chip}"
    );
}

#[test]
fn carbon_dioxide_is_found_with_the_target_file_that_is_handed_out() {
    let bench = Bench::new();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../spectral/targets/co2.csv");
    let co2 = Target::parse(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(
        (co2.name(), co2.windows_nm(), co2.molar_mass_g()),
        ("CO2", &[[1960.0, 2095.0]][..], Some(44.009))
    );
    let strong = co2.band_absorption(2010.0, 7.0);
    assert!(strong > 5.0 * co2.band_absorption(2035.0, 7.0) && (1e-7..1e-6).contains(&strong), "{strong}");
    bench.put("stack", &gas_frame(11, &co2, 200_000.0, 1_955.0));
    let found = bench.look("stack", &["--target", file]);
    assert_eq!((&found["class"], &found["target"]), (&"alert".into(), &"CO2".into()), "{found:#}");
    let [line, sample] = [0, 1].map(|i| found["detections"][0]["centroid"][i].as_f64().unwrap());
    assert!((line - 40.0).abs() < 3.0 && (sample - 30.0).abs() < 3.0, "{found:#}");
    assert_eq!(bench.look("stack", &[])["class"], "routine", "it is no methane");
}

/// The frame's samples as they come out of detectors that have all another gain and offset; and the calibration.
fn uncalibrated((header, data): &(Vec<u8>, Vec<u8>), folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let parsed = Header::parse(&String::from_utf8_lossy(header)).unwrap();
    let detectors = parsed.samples * parsed.bands;
    let gain = |at: usize| 0.5 + (at * 7919 % 1000) as f32 / 1000.0;
    let offset = |at: usize| (at * 104_729 % 1000) as f32 / 5000.0;
    let raw = data.chunks_exact(4).enumerate().flat_map(|(at, bytes)| {
        let at = at % detectors;
        let value = f32::from_le_bytes(bytes.try_into().unwrap());
        ((value - offset(at)) / gain(at)).to_le_bytes()
    });
    let calibration = Header::new(parsed.samples, 2, parsed.bands, DataType::F32);
    fs::write(folder.join("cal.hdr"), calibration.to_text()).unwrap();
    let values = (0..detectors).map(gain).chain((0..detectors).map(offset));
    fs::write(folder.join("cal.img"), values.flat_map(f32::to_le_bytes).collect::<Vec<_>>()).unwrap();
    (header.clone(), raw.collect())
}

#[test]
fn a_calibration_of_each_detector_makes_raw_frames_good() {
    let bench = Bench::new();
    let frame = plume_frame(3);
    bench.put("raw", &uncalibrated(&frame, bench.0.path()));
    bench.put("leak", &frame);
    let (good, mended) = (bench.look("leak", &[]), bench.look("raw", &["--calibration", "@cal.hdr"]));
    assert_eq!(mended["class"], "alert", "{mended:#}");
    let peak = |of: &Value| of["detections"][0]["peak_ppm_m"].as_f64().unwrap();
    assert!((peak(&good) / peak(&mended) - 1.0).abs() < 0.02, "{} {}", peak(&good), peak(&mended));
    assert_ne!(bench.look("raw", &[])["detections"], mended["detections"]);
    fs::write(bench.at("c.toml"), "[triage]\ncalibration = 'cal.hdr'\n").unwrap();
    assert_eq!(bench.look("raw", &["--config", "@c.toml"]), mended);
    assert_eq!(bench.run(&["check-config", "@c.toml"]).0, Some(0));

    bench.put("wide", &(Header::new(65, 8, 80, DataType::U8).to_text().into_bytes(), vec![1; 65 * 8 * 80]));
    let (status, _, err) = bench.run(&["triage", "@wide.hdr", "--out", "@out", "--calibration", "@cal.hdr"]);
    assert!(status == Some(2) && err.contains("cal.hdr") && err.contains("the frame needs 65, 80"), "{err}");
}

#[test]
fn odd_frames_get_a_verdict_with_flags() {
    let bench = Bench::new();
    let frame = |samples: usize, lines: usize, from_nm: f64, value: f32| {
        let mut header = Header::new(samples, lines, 30, DataType::F32);
        header.wavelengths_nm = Some((0..30).map(|b| from_nm + 10.0 * f64::from(b)).collect());
        (header.to_text().into_bytes(), value.to_le_bytes().repeat(samples * lines * 30))
    };
    for (name, frame, flag) in [
        ("three-lines", frame(40, 3, 2150.0, 1.0), None),
        ("one-line", frame(64, 1, 2150.0, 1.0), Some("too-few-pixels")),
        ("one-column", frame(1, 100, 2150.0, 1.0), Some("too-few-pixels")),
        ("one-pixel", frame(1, 1, 2150.0, 1.0), Some("too-few-pixels")),
        ("nan", frame(40, 50, 2150.0, f32::NAN), Some("too-few-pixels")),
        ("infinite", frame(40, 50, 2150.0, f32::INFINITY), Some("too-few-pixels")),
        ("no-window", frame(40, 50, 450.0, 1.0), Some("no-gas-window")),
        ("constant", frame(40, 50, 2150.0, 1.0), None),
    ] {
        bench.put(name, &frame);
        let verdict = bench.look(name, &["--pixel-size", "8", "--wind", "3"]);
        assert!(verdict["detections"].as_array().unwrap().is_empty(), "{name}: {verdict:#}");
        let flags = verdict["quality"]["flags"].as_array().unwrap();
        assert!(flag.is_none_or(|flag| flags.iter().any(|f| f == flag)), "{name}: {flags:?}");
        let record = Record::decode(&fs::read(bench.at("out/record.bin")).unwrap()).unwrap();
        assert_eq!(record.flags.len(), flags.len());
        assert!(fs::read(bench.at("out/quicklook.png")).unwrap().starts_with(b"\x89PNG"), "{name}");
    }
}
