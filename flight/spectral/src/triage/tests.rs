use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::Class;
use crate::envi::{DataType, Interleave};

/// The shared test data, if it is there.
fn real(name: &str) -> Option<Cube<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let header = std::fs::read(folder.join(format!("{name}.hdr"))).ok();
    let data = [format!("{name}.bil"), name.to_owned()].iter().find_map(|n| std::fs::read(folder.join(n)).ok());
    let (Some(header), Some(data)) = (header, data) else {
        println!("skipped: no {name} in {}", folder.display());
        return None;
    };
    Some(Cube::new(Header::parse(&String::from_utf8_lossy(&header)).unwrap(), data).unwrap())
}

#[test]
fn a_real_scene_without_a_plume_is_no_alert() {
    let Some(cube) = real("jasper_ridge/jasper_ridge") else { return };
    let result = triage(&cube, &Target::ch4(), &Params::default()).unwrap();
    println!("{:#?}", result.report);
    assert_eq!(result.report.class, Class::Routine);
}
