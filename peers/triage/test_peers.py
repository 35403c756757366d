"""What the bench relies on: files are read as they are laid out, pixels that are not valid stay out, figures are ppm m.

    python -m unittest discover --start-directory peers/triage
"""

import json
import os
import tempfile
import unittest

import exchange
import filters
import numpy as np
import peers

LINES, SAMPLES = 240, 6


class Scene:
    """Ground of smooth spectra with noise, gas over one block, and some pixels that must not be used."""

    def __init__(self, folder):
        random = np.random.default_rng(7)
        nm = np.arange(2122.0, 2488.0, 12.0)
        self.k = 2e-5 * (1.0 + np.sin(nm / 11.0))
        light = random.uniform(0.6, 1.4, (LINES, SAMPLES, 1))
        tilt = random.normal(0.0, 0.05, (LINES, SAMPLES, 1)) * np.linspace(-1, 1, len(nm))
        self.gas = np.zeros((LINES, SAMPLES))
        self.gas[100:112, 2:4] = 2000.0
        x = 3.0 * light * (1.0 + tilt) * np.exp(-self.k * self.gas[..., None])
        x += random.normal(0.0, 0.004, x.shape)
        self.valid = np.ones((LINES, SAMPLES), dtype=bool)
        self.valid[:, 0] = np.arange(LINES) < 5
        self.valid[200:210] = False
        x[~self.valid] = 1e6 * random.uniform(-1, 1, (int((~self.valid).sum()), len(nm)))
        self.x = x.astype("<f4")
        self.x.transpose(0, 2, 1).tofile(os.path.join(folder, "a.bil"))
        self.valid.astype(np.uint8).tofile(os.path.join(folder, "a.valid"))
        self.path = os.path.join(folder, "a.json")
        self.said = {
            "schema": 1, "data": "a.bil", "samples": SAMPLES, "lines": LINES, "wavelengths_nm": list(nm),
            "fwhm_nm": [12.0] * len(nm), "absorption_per_ppm_m": list(self.k), "valid": "a.valid",
        }
        self.write(self.said)

    def write(self, said):
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(said, file)


class Tests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.scene = Scene(folder.name)

    def test_layouts_hold_the_same_samples(self):
        cube = exchange.Cube(self.scene.path)
        bands = np.array([3, 1, 7])
        self.assertTrue((cube.read(bands, "bip") == self.scene.x[:, :, bands]).all())
        self.assertTrue((cube.read(bands, "bsq") == self.scene.x[:, :, bands].transpose(2, 0, 1)).all())
        self.assertTrue((cube.read(bands, "columns") == self.scene.x[:, :, bands].transpose(1, 0, 2)).all())
        self.assertTrue((cube.valid() == self.scene.valid).all())
        self.assertEqual(list(cube.within([(2122, 2140), (2470, 2490)])), [0, 1, 29, 30])

    def test_what_is_not_a_cube_is_refused(self):
        for wrong in ({"schema": 2}, {"lines": 7}, {"samples": 0}, {"fwhm_nm": [1.0]}, {"wavelengths_nm": [None]}):
            self.scene.write({**self.scene.said, **wrong})
            with self.assertRaises((ValueError, TypeError), msg=wrong):
                exchange.Cube(self.scene.path)

    def test_each_filter_finds_the_gas_in_ppm_m_and_heeds_the_mask(self):
        cube = exchange.Cube(self.scene.path)
        bands = np.arange(cube.bands)
        gas, ground = self.scene.gas > 0, self.scene.valid & (self.scene.gas == 0)
        for name in ("spectral", "emit-ghg", "emit-ghg-loo", "plain-f32", "cem-f32"):
            peer = filters.PEERS[name]()
            peer.libraries()
            peer.prepare(cube, bands, cube.valid())
            out = peer.run()
            with self.subTest(name):
                seen = np.nanmean(out[gas]) - np.nanmean(out[ground])
                # Columns are short here: some of the gas counts as background.
                self.assertTrue(1200.0 < seen < 2300.0, seen)
                self.assertTrue(np.nanstd(out[ground]) < 400.0, np.nanstd(out[ground]))
                if name.startswith("emit"):
                    self.assertEqual(peer.failed, 1)
                    self.assertTrue(np.isnan(out[:, 0]).all())

    def test_settings_are_read(self):
        self.assertEqual(peers.setting("both=1-2+3-4.5"), ("both", [(1.0, 2.0), (3.0, 4.5)]))
        self.assertEqual(peers.setting("readme"), ("readme", None))
        for wrong in ("window", "window=", "window=5-4", "a b=1-2", "=1-2", "w=1-2-3"):
            with self.assertRaises(ValueError, msg=wrong):
                peers.setting(wrong)


if __name__ == "__main__":
    unittest.main()
