//! A delta that was made once stays readable, and comes to the same bytes on every machine. If the format or the model
//! changes, so does its version: deltas that are under way then have to be made anew.

#![allow(clippy::cast_possible_truncation, reason = "digits are below 16")]

mod common;

use common::{apply, program};

/// From the program of functions 0 to 5 to that of functions 2 to 7, in two segments, learning.
const DELTA: &str = "\
    5062446c0101020e0000077000000828000004b00000002ccdcbb64a47001ffc4f523b0718236f6ca239422c70fe9f64b017 \
     bd29eedae190d311cd2fc1907c4a0926863fa5223ef20000001379b1a9d80000011c516398ba037bee15c6b4fffeb109d82a \
     029a3206b0d480048e3dec6a03451acc60c4be720ec90fb3b585585e3d750886079b58ffc83521d937253a44191968a9d494 \
     406e27cc7bceddf242e13a4af6b23d6807b86f6b8e718cbbcaf625de698212bc4a4ae4db2b3202030aeb25625d6af1996822 \
     c9476c1726a3b8bf847c8cf12ec06e53b5da113efdb047bd7139146e2679c6cca9116e927beb2997302dc62ac170b605faee \
     dd8814ebc7f4c5478197f7b65044300c0a3557475eb4a7f101bf1fc581b8b02ce93bbfdc61cf06f69b7b712c23249acd2258 \
     cd3e89182fc338155f3e009db538f7292484af1877bbbacd7951fa457b923f05dfdb03ec0c7673c0bd6d563eb265d1be4110 \
     4aefe2d47390bae0bac983799fd3b5c19d5bf6f5e06d198425af15926a60ef0e3a09faae396d0b04fe";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn a_delta_made_long_ago_is_read() {
    let (old, new) = (program(&[0, 1, 2, 3, 4, 5], true), program(&[2, 3, 4, 9, 5, 6, 7], true));
    assert!(apply(&bytes(DELTA), &old, 1_000).unwrap() == new);
}

#[cfg(feature = "encode")]
#[test]
fn it_is_made_so_still() {
    use passband_delta::{Options, encode};
    let (old, new) = (program(&[0, 1, 2, 3, 4, 5], true), program(&[2, 3, 4, 9, 5, 6, 7], true));
    let options = Options { segment_bytes: Some(1_200), learns: Some(true), ..common::options() };
    let delta = encode(Some(&old), &new, &options).unwrap();
    let hex: String = delta.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, DELTA.chars().filter(char::is_ascii_hexdigit).collect::<String>());
}
