//! An image without what it points at, so that what only moved looks the same. For finding copies, never for coding.

use crate::aarch64;
use crate::layout::{Layout, Part, Region};
use crate::pages::Pages;

/// The image with every reference in it taken out.
pub(super) fn masked(image: &[u8], layout: &Layout) -> Vec<u8> {
    let mut out = image.to_vec();
    for region in layout.regions() {
        let Some(bytes) = out.get_mut(region.offset as usize..region.end() as usize) else { continue };
        match region.part {
            Part::Code => instructions(bytes),
            Part::Pointers => pointers(bytes, layout),
            Part::Near => near(bytes, region, layout),
            Part::Plain => {}
        }
    }
    out
}

fn instructions(bytes: &mut [u8]) {
    let mut pages = Pages::new();
    for (at, bytes) in (0..).step_by(4).zip(bytes.as_chunks_mut::<4>().0) {
        let word = u32::from_le_bytes(*bytes);
        let added = pages.added_to(word, at).is_some();
        pages.note(word, at, 0);
        *bytes = if added { aarch64::without_low(word) } else { aarch64::bare(word) }.to_le_bytes();
    }
}

fn pointers(bytes: &mut [u8], layout: &Layout) {
    for bytes in bytes.as_chunks_mut::<8>().0 {
        if layout.spans(u64::from_le_bytes(*bytes)) {
            *bytes = [0; 8];
        }
    }
}

fn near(bytes: &mut [u8], region: &Region, layout: &Layout) {
    for (n, bytes) in (0_u32..).zip(bytes.as_chunks_mut::<4>().0) {
        let at = region.address_of(region.offset + n * 4);
        let target = at.wrapping_add_signed(i64::from(i32::from_le_bytes(*bytes)));
        if layout.part_at(target) == Some(Part::Code) {
            *bytes = [0; 4];
        }
    }
}
