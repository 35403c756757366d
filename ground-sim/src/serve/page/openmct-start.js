// Starts Open MCT with the plugin; what somebody arranges is kept in the browser.
openmct.setAssetPath("/openmct/dist/");
openmct.install(openmct.plugins.LocalStorage());
openmct.install(openmct.plugins.MyItems());
openmct.install(openmct.plugins.UTCTimeSystem());
openmct.install(openmct.plugins.Espresso());
openmct.install(PassbandPlugin());
openmct.time.setTimeSystem("utc");
openmct.time.setClock("local");
openmct.time.setClockOffsets({ start: -30 * 60 * 1000, end: 60 * 1000 });
document.addEventListener("DOMContentLoaded", () => openmct.start());
