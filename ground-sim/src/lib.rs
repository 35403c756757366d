//! The ground side: station, recovery from captures, link simulator, scenes, demo.
