use proptest::prelude::*;

use super::*;

const GOOD: &str =
    "ENVI\nsamples = 3\nlines = 2\nbands = 2\ndata type = 12\ninterleave = bil\nbyte order = 0\n";

fn with(extra: &str) -> Result<Header, EnviError> {
    Header::parse(&format!("{GOOD}{extra}"))
}

#[test]
fn reads_a_plain_header_without_a_note() {
    let header = with("wavelength units = Nanometers\nwavelength = {500, 510.5}\n").unwrap();
    assert_eq!((header.samples, header.lines, header.bands), (3, 2, 2));
    assert_eq!(header.wavelengths_nm, Some(vec![500.0, 510.5]));
    assert_eq!(header.data_bytes(), 24);
    assert!(header.notes.is_empty(), "{:?}", header.notes);
}

#[test]
fn reads_odd_spelling_bom_crlf_comments_and_braces_over_lines() {
    let text = "\u{feff}ENVI\r\n; made by hand\r\nSAMPLES=3\r\n  Lines   =  2 ; along track\r\nbands\t= 2\r\nHeader  \
                Offset = 16\r\nDATA TYPE = 4\r\nInterleave = BSQ\r\nbyte order = 1\r\nWavelength Units = \
                Micrometers\r\nwavelength = {\r\n 0.5,\r\n; not a number\r\n 0.6\r\n}\r\nfwhm = {0.01 0.02}\r\n\
                bbl = {1, 0}\r\ndata gain values = {2, 4}\r\ndata offset values = {-1,0}\r\n";
    let header = Header::parse(text).unwrap();
    assert_eq!(header.interleave, Interleave::Bsq);
    assert_eq!(header.byte_order, ByteOrder::Big);
    assert_eq!(header.wavelengths_nm, Some(vec![500.0, 600.0]));
    assert_eq!(header.fwhm_nm, Some(vec![10.0, 20.0]));
    assert_eq!(header.bad_bands, Some(vec![false, true]));
    assert_eq!(header.scale(1), (4.0, 0.0));
    assert_eq!(header.scale(0), (2.0, -1.0));
    assert_eq!(header.data_bytes(), 16 + 48);
    assert!(header.notes.is_empty(), "{:?}", header.notes);
}

#[test]
fn names_the_missing_field() {
    for field in ["samples", "lines", "bands", "data type", "interleave"] {
        let text: String = GOOD.lines().filter(|l| !l.starts_with(field)).map(|l| format!("{l}\n")).collect();
        assert_eq!(Header::parse(&text), Err(EnviError::Missing { field }));
    }
}

#[test]
fn refuses_dimensions_that_cannot_be_and_names_field_and_line() {
    for bad in ["0", "-4", "1048577", "99999999999999999999999", "three", "2.5", "", "0x10", "NaN"] {
        let text = GOOD.replace("lines = 2", &format!("lines = {bad}"));
        let error = Header::parse(&text).unwrap_err();
        assert!(
            matches!(&error, EnviError::Invalid { field, line: 3, .. } if field == "lines"),
            "{bad}: {error}"
        );
        assert!(error.to_string().contains("line 3") && error.to_string().contains("lines"), "{error}");
    }
    let huge = "ENVI\nsamples=1048576\nlines=1048576\nbands=4096\ndata type=5\ninterleave=bil\nbyte order=0";
    assert!(matches!(Header::parse(huge), Err(EnviError::TooLarge { .. })));
}

#[test]
fn refuses_what_is_not_a_flat_array_of_known_samples() {
    for (field, bad) in [("data type", "6"), ("data type", "9"), ("data type", "7"), ("interleave", "tile")] {
        let line = GOOD.lines().find(|l| l.starts_with(field)).unwrap();
        let error = Header::parse(&GOOD.replace(line, &format!("{field} = {bad}"))).unwrap_err();
        assert!(matches!(&error, EnviError::Invalid { field: f, .. } if f == field), "{error}");
    }
    assert!(with("file compression = 1\n").is_err());
    assert!(with("file type = TIFF\n").is_err());
    assert!(with("major frame offsets = {0, 4}\n").is_err());
    assert!(with("major frame offsets = {0, 0}\nfile type = ENVI Standard\nfile compression = 0\n").is_ok());
    assert!(
        with("data gain values = {1}\n").is_err(),
        "a gain list of the wrong length would change samples"
    );
    assert!(matches!(with("wavelength = {1, 2\n"), Err(EnviError::Unclosed { line: 8, .. })));
    assert_eq!(Header::parse("\u{0}\u{1}binary"), Err(EnviError::NotEnvi));
    assert!(matches!(Header::parse(&" ".repeat(MAX_HEADER_BYTES + 1)), Err(EnviError::TooLong { .. })));
}

#[test]
fn what_only_describes_is_left_out_with_a_note() {
    let notes = |extra: &str| {
        let header = with(extra).unwrap();
        assert_eq!(header.notes.len(), 1, "{extra}: {:?}", header.notes);
        header
    };
    assert_eq!(notes("wavelength = {1, 2, 3}\n").wavelengths_nm, None);
    assert_eq!(notes("wavelength = {Band 1, Band 2}\n").wavelengths_nm, None);
    assert_eq!(notes("wavelength = {-500, 510}\n").wavelengths_nm, None);
    assert_eq!(notes("wavelength units = Wavenumber\nwavelength = {4000, 4100}\n").wavelengths_nm, None);
    assert_eq!(notes("wavelength units = GHz\nwavelength = {4000, 4100}\n").wavelengths_nm, None);
    assert_eq!(notes("wavelength = {0.5, 0.6}\n").wavelengths_nm, Some(vec![500.0, 600.0]));
    assert_eq!(notes("wavelength = {500, 600}\n").wavelengths_nm, Some(vec![500.0, 600.0]));
    let lying = "wavelength units = Nanometers\nwavelength = {0.5, 0.6}\n";
    assert_eq!(notes(lying).wavelengths_nm, Some(vec![500.0, 600.0]));
    let falling = "wavelength units = nm\nwavelength = {600, 500}\n";
    assert_eq!(notes(falling).wavelengths_nm, Some(vec![600.0, 500.0]));
    assert_eq!(notes("reflectance scale factor = 0\n").reflectance_scale, None);
    assert_eq!(notes("lines = 5\n").lines, 5);
    let no_order: String =
        GOOD.lines().filter(|l| !l.starts_with("byte")).map(|l| format!("{l}\n")).collect();
    let header = Header::parse(&no_order).unwrap();
    assert_eq!((header.byte_order, header.notes.len()), (ByteOrder::Little, 1));
}

#[test]
fn one_band_needs_no_interleave() {
    let header = Header::parse("ENVI\nsamples=3\nlines=2\nbands=1\ndata type=1").unwrap();
    assert_eq!(header.notes.len(), 1);
}

#[test]
fn written_text_reads_back_the_same() {
    let mut header = Header::new(7, 5, 3, DataType::I16);
    header.byte_order = ByteOrder::Big;
    header.interleave = Interleave::Bip;
    header.header_offset = 128;
    header.wavelengths_nm = Some(vec![400.25, 1_234.567_891, 2499.0]);
    header.fwhm_nm = Some(vec![5.0, 5.5, 6.0]);
    header.bad_bands = Some(vec![false, true, false]);
    header.gains = Some(vec![0.001, 1e-5, 3.0]);
    header.offsets = Some(vec![0.0, -0.25, 1.0]);
    header.reflectance_scale = Some(5000.0);
    header.data_ignore_value = Some(-9999.0);
    header.data_units = Some("uW/cm^2/nm/sr".to_owned());
    header.sun_elevation_deg = Some(48.5);
    header.default_bands = Some([2, 1, 0]);
    header.description = Some("a scene".to_owned());
    assert_eq!(Header::parse(&header.to_text()), Ok(header));
}

#[test]
fn a_brace_in_the_description_cannot_break_the_header() {
    let mut header = Header::new(1, 1, 1, DataType::U8);
    header.description = Some("a } samples = 9 {".to_owned());
    let back = Header::parse(&header.to_text()).unwrap();
    assert_eq!(back.samples, 1);
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,400}") {
        let _ = Header::parse(&text);
    }

    #[test]
    fn broken_headers_never_panic_and_what_is_read_is_bounded(
        lines in proptest::collection::vec(
            ("(samples|lines|bands|data type|interleave|byte order|wavelength|fwhm|bbl|header offset|\
              wavelength units|data gain values|default bands|data ignore value)",
             "( |=|\\{|\\}|,|;|[0-9]{1,12}|-|\\.|e|bil|bsq|nm|NaN|inf|\n){0,12}"), 0..16)
    ) {
        let text: String = lines.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        if let Ok(header) = Header::parse(&format!("{GOOD}{text}")) {
            prop_assert!(header.data_bytes() <= MAX_DATA_BYTES);
            prop_assert!(header.wavelengths_nm.is_none_or(|w| w.len() == header.bands));
            prop_assert!(header.gains.is_none_or(|g| g.len() == header.bands));
        }
    }
}

#[test]
fn names_of_bands_never_hide_what_follows_them() {
    let header = with("band names = ;red} swir, a=b\n").unwrap();
    assert_eq!(header.band_names.as_ref().map(Vec::len), Some(2));
    let again = Header::parse(&header.to_text()).unwrap();
    assert_eq!(again.band_names.unwrap(), ["red) swir", "a=b"]);
}
