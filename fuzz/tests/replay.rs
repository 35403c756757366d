//! Every target stands its corpus: inputs that once made it fail, and those that the real encoders write.

use std::process::Command;

#[test]
fn every_target_stands_its_corpus() {
    let out = Command::new(env!("CARGO_BIN_EXE_replay")).args(["--seconds", "0"]).output().unwrap();
    let (told, faults) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{told}{faults}");
    for (name, _) in passband_fuzz::TARGETS {
        let line = told.lines().find(|line| line.split_whitespace().next() == Some(name));
        assert!(line.is_some_and(|line| line.ends_with("no fault")), "{name} was not run:\n{told}");
    }
}
