//! CPU seconds of one core, and how many multiply-adds that core can do in them.
//!
//! Time is that of the process (all its threads), as for the peers: what else runs on the machine counts less than on
//! a wall clock, though caches and clock rate are still shared with it.

use rustix::time::{ClockId, clock_gettime};

/// CPU seconds of this process so far.
fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// CPU seconds of some work, the best of some turns, and what the last turn gave. Nothing else may run in this
/// process meanwhile.
pub(super) fn best_of<T>(turns: usize, mut work: impl FnMut() -> T) -> (f64, T) {
    let mut turn = || {
        let start = cpu_s();
        let result = work();
        (cpu_s() - start, result)
    };
    let (mut best, mut last) = turn();
    for _ in 1..turns {
        let (seconds, result) = turn();
        best = best.min(seconds);
        last = result;
    }
    (best, last)
}

/// Turns of the inner loop in one measurement.
const ROUNDS: u32 = 1 << 18;
/// Chains side by side: more than latency times units of any core in use (4 × 2).
const CHAINS: usize = 12;

/// f32 multiply-adds that this core does in a CPU second, at most: independent chains in registers, in the widest
/// vectors that the CPU has, fused where it can. No filter reaches it: it has to load its samples.
pub(super) fn multiply_adds_a_second(turns: usize) -> f64 {
    let rate = |lanes: usize, kernel: Kernel| {
        let (a, b) = (core::hint::black_box(0.999_f32), core::hint::black_box(0.001_f32));
        let (seconds, sum) = best_of(turns, || kernel(a, b));
        core::hint::black_box(sum);
        f64::from(ROUNDS) * (CHAINS * lanes) as f64 / seconds
    };
    kernels().into_iter().map(|(lanes, kernel)| rate(lanes, kernel)).fold(0.0, f64::max)
}

/// x ← a·x + b in `CHAINS` vectors of `LANES`.
#[expect(clippy::inline_always, reason = "only inside its caller does it get the caller's instructions")]
#[inline(always)]
fn chains<const LANES: usize>(a: f32, b: f32, multiply_add: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut x = [[0.5_f32; LANES]; CHAINS];
    for _ in 0..ROUNDS {
        for vector in &mut x {
            for lane in vector {
                *lane = multiply_add(*lane, a, b);
            }
        }
    }
    x.iter().flatten().sum()
}

/// From a and b to the sum of all lanes.
type Kernel = fn(f32, f32) -> f32;

/// The kernels that this CPU can run, with their lanes.
#[cfg(target_arch = "x86_64")]
fn kernels() -> Vec<(usize, Kernel)> {
    let mut kernels: Vec<(usize, Kernel)> = vec![(4, |a, b| chains::<4>(a, b, |x, a, b| x * a + b))];
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        kernels.push((8, wide::avx2));
    }
    if std::arch::is_x86_feature_detected!("avx512f") {
        kernels.push((16, wide::avx512));
    }
    kernels
}

/// On other machines the compiler's own idea of vectors and fused multiply-add is the CPU's (aarch64: both are there).
#[cfg(not(target_arch = "x86_64"))]
fn kernels() -> Vec<(usize, Kernel)> {
    vec![(4, |a, b| chains::<4>(a, b, f32::mul_add))]
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions that not every CPU has can be called in no other way")]
mod wide {
    use super::chains;

    /// The caller has seen that the CPU has AVX2 and FMA.
    pub(super) fn avx2(a: f32, b: f32) -> f32 {
        #[target_feature(enable = "avx2,fma")]
        fn kernel(a: f32, b: f32) -> f32 {
            chains::<8>(a, b, f32::mul_add)
        }
        // SAFETY: `kernels` lists this only where both features were detected.
        unsafe { kernel(a, b) }
    }

    /// The caller has seen that the CPU has AVX-512 F.
    pub(super) fn avx512(a: f32, b: f32) -> f32 {
        #[target_feature(enable = "avx512f,fma")]
        fn kernel(a: f32, b: f32) -> f32 {
            chains::<16>(a, b, f32::mul_add)
        }
        // SAFETY: `kernels` lists this only where the feature was detected.
        unsafe { kernel(a, b) }
    }
}

/// CPU seconds of the multiply-adds that the covariance of `pixels` spectra of `bands` bands needs at least, each
/// unordered pair of bands once, at a given rate.
pub(super) fn covariance_bound_s(pixels: usize, bands: usize, multiply_adds_a_second: f64) -> f64 {
    pixels as f64 * (bands * (bands + 1) / 2) as f64 / multiply_adds_a_second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_does_the_same_work() {
        let sums: Vec<(usize, f32)> =
            kernels().into_iter().map(|(lanes, k)| (lanes, k(0.999, 0.001))).collect();
        for (lanes, sum) in sums {
            let each = sum / (lanes * CHAINS) as f32;
            assert!((each - 1.0).abs() < 1e-3, "{lanes} lanes: {each}");
        }
    }

    #[test]
    fn work_takes_cpu_time_and_sleep_does_not() {
        let (busy, sum) = best_of(2, || (0..20_000_000_u64).fold(0, |a, n| core::hint::black_box(a ^ n)));
        let (idle, ()) = best_of(1, || std::thread::sleep(std::time::Duration::from_millis(30)));
        core::hint::black_box(sum);
        assert!(busy > 1e-3, "{busy}");
        // Other tests may run in this process meanwhile; none of them makes a clock run backwards.
        assert!(idle >= 0.0);
    }

    #[test]
    fn the_bound_counts_each_pair_of_bands_once() {
        assert!((covariance_bound_s(1000, 52, 1e6) - 1.378).abs() < 1e-12);
    }
}
