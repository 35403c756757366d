//! What went wrong when products were taken into their frame: of which product, and whether it may pass, so that
//! it is worth another try. One product's fault never keeps another out.

use std::fmt;
use std::io;

use super::entry::Product;

/// Faults that are said of a frame one by one.
const MOST_SAID: usize = 5;

/// Why a product, or a frame as a whole, could not be put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Id of the product; none: the frame's cube as a whole.
    product: Option<String>,
    text: String,
    may_pass: bool,
}

/// A product that is not in the list yet, because its frame could not take it in for a reason that may pass.
#[derive(Debug)]
struct Unfinished(String);

impl Fault {
    pub(super) fn of(product: &Product, e: &anyhow::Error) -> Self {
        let text = format!("{} ({}): {e:#}", product.name, product.id);
        Self { product: Some(product.id.clone()), text, may_pass: may_pass(e) }
    }

    pub(super) fn of_cube(e: &anyhow::Error) -> Self {
        Self { product: None, text: format!("{e:#}"), may_pass: may_pass(e) }
    }

    /// A product whose folder went before the frame held what was in it; it may be put back.
    pub(super) fn gone(product: &Product) -> Self {
        let text = format!(
            "{} ({}): {} is gone, and not all of it was in the frame's folder: left out",
            product.name, product.id, product.folder
        );
        Self { product: Some(product.id.clone()), text, may_pass: true }
    }

    /// Whether another try may help this product.
    fn holds_up(&self, product: &Product) -> bool {
        self.may_pass && self.product.as_ref().map_or(product.product == "cube", |id| *id == product.id)
    }
}

/// What to say of a frame's faults; nothing if there are none.
pub(super) fn joined(faults: &[Fault]) -> Option<String> {
    let said: Vec<_> = faults.iter().take(MOST_SAID).map(|fault| fault.text.as_str()).collect();
    let more = faults.len() - said.len();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!said.is_empty()).then(|| said.join("; ") + &more)
}

/// The error of a product that must be taken in once more, if one of the faults says so.
pub(super) fn unfinished(faults: &[Fault], product: &Product) -> Option<anyhow::Error> {
    let held_up = faults.iter().any(|fault| fault.holds_up(product));
    held_up.then(|| anyhow::Error::new(Unfinished(joined(faults).unwrap_or_default())))
}

/// Whether the same may work at another time: the disk is full, a file is not there at the moment.
pub(super) fn may_pass(e: &anyhow::Error) -> bool {
    e.chain().any(|cause| cause.is::<io::Error>() || cause.is::<Unfinished>())
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfinished {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::product;
    use anyhow::{Context, anyhow};

    #[test]
    fn only_a_product_s_own_fault_that_may_pass_holds_it_up() {
        let full =
            || Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull)).context("writing").unwrap_err();
        let (a, b) = (product(1), product(2));
        let cube = Product { product: "cube".to_owned(), ..product(3) };
        let faults = [Fault::of(&a, &full()), Fault::of(&b, &anyhow!("no such layout"))];
        assert!(may_pass(&unfinished(&faults, &a).unwrap()));
        assert!(unfinished(&faults, &b).is_none() && unfinished(&faults, &cube).is_none());
        let faults = [Fault::of_cube(&full())];
        assert!(unfinished(&faults, &a).is_none() && unfinished(&faults, &cube).is_some());
        assert_eq!(joined(&[]), None);
        let many = vec![Fault::gone(&a); 7];
        assert!(joined(&many).unwrap().ends_with("; and 2 more"));
    }
}
