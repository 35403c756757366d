//! The fields that say where a frame is on the ground: `map info` and `geo points`. What can't be used is left out with
//! a note; a map that is none (`Arbitrary`) is left out without one.

use super::lex::{Entries, Entry, short};
use super::lists::numbers;
use crate::geo::{Geometry, MAX_TIE_POINTS, MapInfo, Position, Projection, TiePoint, TiePoints};

/// The geometry of a frame; a map goes before tie points.
pub(super) fn geometry(entries: &Entries, notes: &mut Vec<String>) -> Option<Geometry> {
    let mut usable = |entry: &Entry, read: fn(&str) -> Result<Option<Geometry>, String>| {
        read(&entry.value).unwrap_or_else(|why| {
            let (line, name, value) = (entry.line, &entry.name, short(&entry.value));
            notes.push(format!("`{name} = {{{value}}}` (line {line}): {why}; the position is left out"));
            None
        })
    };
    let map = entries.get("map info").and_then(|entry| usable(entry, map_info));
    map.or_else(|| entries.get("geo points").and_then(|entry| usable(entry, geo_points)))
}

/// `{projection, x, y, easting, northing, width, height, …}`: zone and hemisphere of UTM, datum, `units=`, `rotation=`.
fn map_info(value: &str) -> Result<Option<Geometry>, String> {
    let words: Vec<&str> = value.split(',').map(str::trim).collect();
    let (named, plain): (Vec<&str>, Vec<&str>) = words.into_iter().partition(|word| word.contains('='));
    let [kind, x, y, east, north, width, height, rest @ ..] = plain.as_slice() else {
        return Err("needs a projection and 6 numbers".to_owned());
    };
    let (projection, datum) = match kind.to_lowercase().as_str() {
        "arbitrary" => return Ok(None),
        "geographic lat/lon" => (Projection::Geographic, rest.first()),
        "utm" => (utm(rest)?, rest.get(2)),
        _ => return Err("its projection is not one that is read (UTM, Geographic Lat/Lon)".to_owned()),
    };
    let option = |name: &str| {
        let mut pairs = named.iter().filter_map(|word| word.split_once('='));
        pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
    };
    let expected = if projection == Projection::Geographic { "deg" } else { "met" };
    if option("units").is_some_and(|units| !units.to_lowercase().starts_with(expected)) {
        return Err("its units are not those of its projection".to_owned());
    }
    let plain_datum: String = datum.unwrap_or(&"WGS-84").chars().filter(|c| c.is_alphanumeric()).collect();
    if !plain_datum.eq_ignore_ascii_case("wgs84") {
        return Err("its datum is not WGS-84".to_owned());
    }
    let pixel = [number(width)?, number(height)?];
    if pixel.iter().any(|side| *side <= 0.0) {
        return Err("the size of a pixel must be above 0".to_owned());
    }
    Ok(Some(Geometry::Map(MapInfo {
        projection,
        reference: [number(x)?, number(y)?],
        origin: [number(east)?, number(north)?],
        pixel,
        rotation_deg: option("rotation").map_or(Ok(0.0), number)?,
    })))
}

/// Zone and hemisphere.
fn utm(rest: &[&str]) -> Result<Projection, String> {
    let [zone, half, ..] = rest else { return Err("UTM needs a zone and North or South".to_owned()) };
    let zone = zone.parse::<u8>().ok().filter(|zone| (1..=60).contains(zone));
    let zone = zone.ok_or("a zone of UTM is 1 to 60")?;
    match half.to_lowercase().as_str() {
        "north" => Ok(Projection::Utm { zone, south: false }),
        "south" => Ok(Projection::Utm { zone, south: true }),
        _ => Err("the hemisphere of UTM is North or South".to_owned()),
    }
}

/// `{x, y, latitude, longitude, …}` for each point.
fn geo_points(value: &str) -> Result<Option<Geometry>, String> {
    let values = numbers(value).ok_or("holds something that is no number")?;
    let most = format!("must be 4 to {MAX_TIE_POINTS} points of x, y, latitude and longitude");
    if !values.len().is_multiple_of(4) || values.len() > 4 * MAX_TIE_POINTS {
        return Err(most);
    }
    let mut points = Vec::with_capacity(values.len() / 4);
    for group in values.chunks_exact(4) {
        let &[x, y, latitude, longitude] = group else { continue };
        let position = Position::new(latitude, longitude)
            .ok_or_else(|| format!("{latitude}, {longitude} is no latitude and longitude"))?;
        points.push(TiePoint { x, y, position });
    }
    if points.len() < 4 {
        return Err(most);
    }
    let ties = TiePoints::new(points).ok_or("the points lie on a line or far off the image")?;
    Ok(Some(Geometry::Ties(ties)))
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok().filter(|n| n.abs() <= 1e12);
    number.ok_or_else(|| format!("`{}` is no number", short(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{DataType, Header};
    use super::*;

    const GOOD: &str = "ENVI\nsamples = 40\nlines = 30\nbands = 1\ndata type = 1\ninterleave = bil\nbyte order = 0\n\
                        pixel size = {8, 8, units=Meters}\n";
    const TURNED: &str = "{UTM, 1, 1, 600000, 4100000, 8, 9, 11, North, WGS-84, units=Meters, rotation=30}";
    const STRAIGHT: &str = "{UTM, 3.5, 2, 371000, 4130000, 8, 8, 19, South, WGS-84, units=Meters}";
    const DEGREES: &str =
        "{Geographic Lat/Lon, 1.0, 1.0, -118.5, 36.25, 0.001, 0.0012, WGS-84, units=Degrees}";
    const POINTS: &str =
        "{\n 1, 1, 36.25, 241.5,\n 41, 1, 36.26, 241.6,\n 1, 31, 36.15, 241.52,\n 41, 31, 36.16, 241.62}";

    fn with(field: &str, value: &str) -> Header {
        Header::parse(&format!("{GOOD}{field} = {value}\n")).unwrap()
    }

    #[test]
    fn maps_and_points_are_read_and_survive_being_written() {
        for (field, value) in
            [("map info", TURNED), ("map info", STRAIGHT), ("map info", DEGREES), ("geo points", POINTS)]
        {
            let header = with(field, value);
            assert!(header.geometry.is_some() && header.notes.is_empty(), "{value}: {:?}", header.notes);
            assert_eq!(Header::parse(&header.to_text()), Ok(header));
        }
        let header = Header::parse(&format!("{GOOD}geo points = {POINTS}\nmap info = {DEGREES}\n")).unwrap();
        assert!(matches!(header.geometry, Some(Geometry::Map(_))), "a map goes before points");
    }

    #[test]
    fn a_pixel_of_a_cut_out_is_where_it_was() {
        for (field, value) in
            [("map info", TURNED), ("map info", STRAIGHT), ("map info", DEGREES), ("geo points", POINTS)]
        {
            let header = with(field, value);
            let whole = header.geometry.clone().unwrap();
            let mut cut = Header::new(10, 10, 1, DataType::U8);
            cut.geometry = Some(whole.shifted(12, 7));
            let again = Header::parse(&cut.to_text()).unwrap();
            let (a, b) =
                (whole.position(15.25, 9.0).unwrap(), again.geometry.unwrap().position(3.25, 2.0).unwrap());
            let off = (a.latitude_deg - b.latitude_deg).abs().max((a.longitude_deg - b.longitude_deg).abs());
            assert!(off < 1e-11, "{value}: {a:?} {b:?}");
        }
    }

    #[test]
    fn whole_numbers_are_the_centres_of_pixels() {
        let at = with("map info", DEGREES).geometry.unwrap().position(0.0, 0.0).unwrap();
        assert!(
            (at.latitude_deg - 36.2494).abs() < 1e-12 && (at.longitude_deg + 118.4995).abs() < 1e-12,
            "{at:?}"
        );
        let corner = with("geo points", POINTS).geometry.unwrap().position(-0.5, -0.5).unwrap();
        assert!((corner.latitude_deg - 36.25).abs() < 1e-12 && (corner.longitude_deg + 118.5).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_used_is_left_out_with_a_note() {
        let arbitrary = with("map info", "{Arbitrary, 1, 1, 0, 0, 8, 8, 0, North}");
        assert_eq!((arbitrary.geometry, arbitrary.notes.len()), (None, 0));
        for (value, why) in [
            (TURNED.replace("11,", "61,"), "zone"),
            (TURNED.replace("North", "Up"), "North or South"),
            (TURNED.replace("WGS-84", "North America 1927"), "datum"),
            (TURNED.replace("Meters", "Feet"), "units"),
            (TURNED.replace("8, 9", "0, 9"), "above 0"),
            (TURNED.replace("rotation=30", "rotation=x"), "`x` is no number"),
            (TURNED.replace("UTM", "Polar Stereographic"), "projection"),
            ("{UTM, 1, 1}".to_owned(), "6 numbers"),
        ] {
            let header = with("map info", &value);
            let note = header.notes.first().map_or("", String::as_str);
            assert!(header.geometry.is_none() && note.contains(why) && note.contains("line 9"), "{note}");
        }
        for (value, why) in [
            ("{1, 1, 2}", "4 to 1024 points"),
            ("{1, 1, 2, 3, 1, 1, 2, 3}", "4 to 1024 points"),
            ("{1,1,2,3, 2,2,2,3, 3,3,2,3, 4,4,2,3}", "on a line"),
            ("{1,1,92,3, 2,2,2,3, 3,3,2,3, 4,5,2,3}", "92, 3 is no latitude"),
            ("{a}", "no number"),
        ] {
            let header = with("geo points", value);
            assert!(header.geometry.is_none() && header.notes[0].contains(why), "{:?}", header.notes);
        }
    }

    proptest! {
        #[test]
        fn no_value_panics_and_what_is_read_is_written_back(
            value in "(UTM|Geographic Lat/Lon|Arbitrary|[-0-9.e]{1,8})(, ?([-0-9.e]{1,9}|North|units=Meters|rotation=[0-9]{1,3})){0,14}",
            n in proptest::array::uniform7(-1e7..1e7_f64), zone in 0_u8..70,
            line in proptest::num::f64::ANY, sample in -1e4..1e4_f64
        ) {
            let [a, b, c, d, e, f, g] = n;
            let utm = format!("UTM, {a}, {b}, {c}, {d}, {e}, {f}, {zone}, South, WGS-84, rotation={g}");
            let plain = format!("Geographic Lat/Lon, {a}, {b}, {}, {}, {}, {}", c * 1e-5, d * 1e-5, e * 1e-9, f * 1e-9);
            let points = format!("{a}, {b}, 1, 2, {c}, {d}, 1.5, 2, {e}, {f}, 1, 2.5, {g}, {a}, 1.5, 2.5");
            for value in [value, utm, plain, points] {
                for field in ["map info", "geo points"] {
                    let header = with(field, &format!("{{{value}}}"));
                    let Some(geometry) = &header.geometry else { continue };
                    let _any = (geometry.position(line, sample), geometry.shifted(9, 1 << 20).position(sample, line));
                    let again = Header::parse(&header.to_text()).unwrap();
                    prop_assert_eq!(again.geometry.as_ref(), Some(geometry));
                }
            }
        }
    }
}
