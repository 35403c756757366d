"""The peers: each a class that takes a cube once, in the layout its authors work in, and is then run and timed.

    libraries()                   imports them; not timed
    prepare(cube, bands, valid)   reads and arranges; not timed, so that no peer pays for a file format
    run()                         the peer's own work; timed; gives a map, lines x samples, ppm m
    notes                         what a reader of the figure has to know

Choices that all share: units are uW cm-2 nm-1 sr-1, as MAG1C and the onboard package expect. Pixels that are not valid
never enter a peer's statistics; how that is done is the peer's own way, where it has one. Each peer makes its target
spectrum by its own tool where it has one; the others get the cube's unit absorption k as -k per ppm m.

Nothing here reads a clock or decides how often something is run.
"""

import numpy as np

# MAG1C and JPL's filter count methane in units of 1e5 ppm m, so that their target spectra are of order one.
SCALING = 1e5
# Pixels whose products are summed in f32 before the sum goes on in f64.
GRAM_PIXELS = 1024


class Peer:
    """What all peers have."""

    package = None  # distribution whose version is told; None: written here
    layout = "bip"
    notes = ""

    def libraries(self):
        """Imports what the peer needs, so that what libraries hold can be told from what the work holds."""

    def prepare(self, cube, bands, valid):
        self.cube, self.valid, self.bands_used = cube, valid, len(bands)
        self.k = cube.absorption[bands]
        self.x = cube.read(bands, self.layout)
        self.failed = 0

    def run(self):
        raise NotImplementedError

    def flat(self):
        """Pixels x bands, only the valid ones."""
        rows = self.x.reshape(-1, self.x.shape[-1])
        return rows if self.valid is None else rows[self.valid.ravel()]

    def spread(self, values):
        """The values of the valid pixels back in their places."""
        shape = (self.cube.lines, self.cube.samples)
        if self.valid is None:
            return np.asarray(values, dtype=np.float32).reshape(shape)
        out = np.full(shape, np.nan, dtype=np.float32)
        out[self.valid] = values
        return out


class Mag1c(Peer):
    """MAG1C 1.2.0 (Foote et al. 2020) as its command line does it by default: each detector column by itself (--group 1
    --batch 1), 30 iterations, albedo correction, reweighted L1, no shrinkage, its own target spectrum.

    Its `main` can't be called: it needs np.int (gone since NumPy 1.24) and torch.cholesky (gone from torch). Its filter
    `acrwl1mf` is called as `main` calls it, with torch.cholesky put back as the call that torch names as its successor;
    with both put back `main` gives the same to 1e-4 ppm m, but that it always drops the first and the last line, which
    are kept here. Bands above 2485 nm are left out, as `main` does. Pixels that are not valid are handed over as `main`
    hands over saturated ones: left out of the statistics, filtered all the same. A mask is always given: without one
    `acrwl1mf` takes the mean over bands too.
    """

    package = "mag1c"
    layout = "columns"

    def __init__(self, dtype):
        self.dtype = dtype

    def libraries(self):
        import torch
        from mag1c import mag1c

        torch.set_num_threads(1)
        if not _works(torch, "cholesky"):
            torch.cholesky = lambda a, upper=False: torch.linalg.cholesky(a, upper=upper)
            self.notes = "torch.cholesky put back; its main fails with NumPy 2 and torch 2"
        self.torch, self.mag1c, self.filter = torch, mag1c, mag1c.acrwl1mf

    def prepare(self, cube, bands, valid):
        bands = bands[self.mag1c.get_mask_bad_bands(cube.wavelengths_nm[bands])]
        super().prepare(cube, bands, valid)
        torch = self.torch
        template = self.mag1c.generate_template_from_bands(cube.wavelengths_nm[bands], cube.fwhm_nm[bands])[:, 1]
        self.template = torch.from_numpy(template).to(self.dtype_of(torch))
        self.columns_valid = None if valid is None else np.ascontiguousarray(valid.T)

    def dtype_of(self, torch):
        return torch.float64 if self.dtype == "f64" else torch.float32

    def run(self):
        torch, dtype = self.torch, self.dtype_of(self.torch)
        samples, lines, bands = self.x.shape
        out = np.full((lines, samples), np.nan, dtype=np.float32)
        everything = torch.ones(1, lines, dtype=torch.bool)
        self.failed = 0
        for column in range(samples):
            mask = everything
            if self.columns_valid is not None:
                mask = torch.from_numpy(self.columns_valid[column]).unsqueeze(0)
                # A covariance of fewer pixels than bands has no inverse: `main` would end here with an error.
                if int(mask.sum()) <= bands:
                    self.failed += 1
                    continue
            data = torch.from_numpy(self.x[column]).unsqueeze(0).to(dtype)
            try:
                result, _ = self.filter(data, self.template, 30, False, False, False, 1.0, 0.0, mask)
            except torch.linalg.LinAlgError:
                self.failed += 1
                continue
            out[:, column] = result[0, :, 0].numpy()
        return out


class Mag1cSas(Peer):
    """Mag1c-SAS of onboard-methane-detection 0.1.2 as its README calls it: `mag1c_sas(image, spectrum)`, bands first,
    statistics from every hundredth pixel, no tiles. Pixels with zeros in all bands are what it takes for invalid.

    `bands` of the setting "readme" are its own choice of 50 (strategy highest-variance) among all the cube's bands.
    """

    package = "onboard-methane-detection"
    layout = "bsq"

    def libraries(self):
        import onboard_methane_detection

        self.package_of = onboard_methane_detection
        self.filter = onboard_methane_detection.mag1c_sas

    def prepare(self, cube, bands, valid):
        super().prepare(cube, bands, valid)
        # f64, as the README's on-ground part makes and stores it.
        self.spectrum = self.package_of.generate_methane_spectrum(cube.wavelengths_nm[bands], cube.fwhm_nm[bands])
        if valid is not None:
            self.x[:, ~valid] = 0.0

    def run(self):
        # Of a frame without a valid pixel it gives two axes, else three.
        result = np.squeeze(self.filter(self.x, self.spectrum))
        return result if self.valid is None else np.where(self.valid, result, np.nan)

    def own_bands(self, cube, count=50):
        """The bands that the README's on-ground part would choose; an error if the cube has too few."""
        spectrum = self.package_of.generate_methane_spectrum(cube.wavelengths_nm, cube.fwhm_nm)
        chosen, _ = self.package_of.select_the_bands_by_transmittance(
            cube.wavelengths_nm, spectrum, N=count, strategy="highest-variance"
        )
        return np.array([int(np.flatnonzero(cube.wavelengths_nm == nm)[0]) for nm in chosen])


class LinkNet(Mag1cSas):
    """The onboard package's whole way, as its README shows it: Mag1c-SAS, red, green and blue, normalised for EMIT,
    into its LinkNet. The map is a probability, not ppm m."""

    notes = "the map is LinkNet's probability of a plume"

    def prepare(self, cube, bands, valid):
        super().prepare(cube, bands, valid)
        nm, rgb = self.package_of.select_rgb_bands(cube.wavelengths_nm)
        if np.abs(nm - [640, 550, 460]).max() > 30:
            raise ValueError("the cube has no red, green and blue bands")
        self.rgb = cube.read(rgb, "bsq")
        self.session, self.input_name = self.package_of.initialize_model(dynamic_output_size=True)

    def run(self):
        # A frame without a valid pixel comes back with two axes: the README's concatenate would fail.
        gas = np.asarray(self.filter(self.x, self.spectrum)).reshape(1, *self.x.shape[1:])
        image = self.package_of.normalize_image(np.concatenate([self.rgb, gas], axis=0), sensor_or_factors="emit")
        answer = self.package_of.model_inference(self.session, self.input_name, image, use_tiling=False, logits_to_probs=True)
        return np.squeeze(answer)


class SpectralPython(Peer):
    """Spectral Python 0.25: `matched_filter` over the whole frame, background from `calc_stats`; the target is the mean
    with one ppm m of gas, which makes the answer ppm m."""

    package = "spectral"

    def libraries(self):
        import spectral

        self.spectral = spectral

    def run(self):
        mask = None if self.valid is None else self.valid.astype(np.uint8)
        background = self.spectral.calc_stats(self.x, mask=mask)
        target = background.mean * (1.0 - self.k)
        return self.spectral.matched_filter(self.x, target, background)


class ColumnFilter(Peer):
    """The column-wise matched filter as JPL's emit-ghg runs it over EMIT (Thompson et al. 2015), written here from its
    description: mean and covariance of each column's valid pixels in f64, target k * mean, inverse of the covariance.
    With `leave_one_out` the covariance is shrunk towards its own diagonal, by the share among 10^-10 … 1 in steps of
    10^0.05 that leave-one-out likelihood likes best (Theiler 2012, "The incredible shrinking covariance estimator",
    Proc. SPIE 8391, eq. 29): emit-ghg's default. Theirs runs columns side by side with Ray; here it is one core. It looks at 2137 to 2493 nm, a
    band or two from the others' window. It multiplies the pixels by the whole inverse, here they are multiplied by one
    vector of weights, which takes less than half of the time and gives the same: the peer gets the better of the two.
    """

    layout = "columns"
    # Before the likelihood samples are multiplied by this, so that determinants stay within f64.
    stability = 100.0

    def __init__(self, leave_one_out):
        self.leave_one_out = leave_one_out
        self.notes = "written here from the description of emit-ghg; one core"

    def run(self):
        samples, lines, bands = self.x.shape
        out = np.full((lines, samples), np.nan, dtype=np.float32)
        target_shape = -self.k * SCALING
        self.failed = 0
        for column in range(samples):
            x = self.x[column].astype(np.float64)
            ground = x if self.valid is None else x[self.valid[:, column]]
            if len(ground) <= bands:
                self.failed += 1
                continue
            mean = ground.mean(axis=0)
            centred = ground - mean
            covariance = centred.T @ centred / (len(ground) - 1)
            try:
                if self.leave_one_out:
                    covariance = self.shrunk(centred, covariance)
                inverse = np.linalg.inv(covariance)
            except np.linalg.LinAlgError:
                self.failed += 1
                continue
            target = target_shape * mean
            weights = inverse @ target
            out[:, column] = (x - mean) @ weights / (target @ weights) * SCALING
        return out

    def shrunk(self, centred, covariance):
        count, bands = centred.shape
        y = centred * self.stability
        s = covariance * self.stability**2
        t = np.diag(np.diag(s))
        best, best_cost = 0.0, np.inf
        for exponent in np.arange(-10.0, 0.025, 0.05):
            alpha = 10.0**exponent
            beta = (1.0 - alpha) / (count - 1.0)
            g = count * beta * s + alpha * t
            sign, log_det = np.linalg.slogdet(g)
            if sign <= 0:
                continue
            r = np.einsum("ij,ij->i", y @ np.linalg.inv(g), y)
            q = 1.0 - beta * r
            if (q <= 0).any():
                continue
            cost = 0.5 * (bands * np.log(2.0 * np.pi) + log_det) + (np.log(q) + r / q).sum() / (2.0 * count)
            if cost < best_cost:
                best, best_cost = alpha, cost
        return (1.0 - best) * covariance + best * np.diag(np.diag(covariance))


class PlainFilter(Peer):
    """The plainest matched filter that is fast: one mean, one covariance (BLAS syrk) in f32, the solve in f64."""

    notes = "written here: NumPy and BLAS in f32"

    def run(self):
        x = self.flat()
        mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = x - mean
        covariance = gram(centred) / (len(x) - 1)
        target = -self.k * mean
        weights = np.linalg.solve(covariance, target)
        weights /= target @ weights
        return self.spread(centred @ weights.astype(np.float32))


class Cem(Peer):
    """Constrained energy minimisation in f32: the correlation matrix about zero in place of mean and covariance, so that
    each sample is read twice only. The cheapest filter that Herec et al. (2025, arXiv:2507.01472) found good enough."""

    notes = "written here: NumPy and BLAS in f32"

    def run(self):
        x = self.flat()
        correlation = gram(x) / len(x)
        mean = x.mean(axis=0) if self.valid is not None else np.ones(len(x), np.float32) @ x / np.float32(len(x))
        target = -self.k * mean
        weights = np.linalg.solve(correlation, target)
        weights /= target @ weights
        return self.spread(x @ weights.astype(np.float32))


PEERS = {
    "mag1c-f64": lambda: Mag1c("f64"),
    "mag1c-f32": lambda: Mag1c("f32"),
    "mag1c-sas": Mag1cSas,
    "linknet": LinkNet,
    "spectral": SpectralPython,
    "emit-ghg": lambda: ColumnFilter(leave_one_out=False),
    "emit-ghg-loo": lambda: ColumnFilter(leave_one_out=True),
    "plain-f32": PlainFilter,
    "cem-f32": Cem,
}


def gram(x):
    """x^T x by BLAS in f32, summed over blocks of pixels in f64: in f32 alone the correlation of bright ground with
    little noise may have no usable inverse (seen: answers of the wrong sign). Costs a tenth of CEM's time."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for first in range(0, len(x), GRAM_PIXELS):
        block = x[first : first + GRAM_PIXELS]
        total += block.T @ block
    return total


def _works(torch, name):
    """Is a function there, and does it do more than tell that it is gone?"""
    try:
        getattr(torch, name)(torch.eye(2))
        return True
    except (AttributeError, RuntimeError):
        return False
